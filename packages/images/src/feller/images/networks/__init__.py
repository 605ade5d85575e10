"""Networks on images: tensors (b, c, h, w), times and labels to tensors (b, c, h, w)."""

from feller.images.networks.dit import DIT_SIZES, DiT, DiTConfig
from feller.images.networks.jit import JiT, JiTConfig
from feller.images.networks.levels import OfLevels, build_network
from feller.images.networks.unet import UNet, UNetConfig

__all__ = [
    "DIT_SIZES", "DiT", "DiTConfig", "JiT", "JiTConfig", "OfLevels", "UNet", "UNetConfig",
    "build_network",
]  # fmt: skip
