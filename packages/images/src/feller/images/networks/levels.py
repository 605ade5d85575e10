"""Grey levels as tokens, for networks that read numbers."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from feller.core.typing import Time
from feller.images.networks.clocks import OfClocks
from feller.images.networks.dit import DiTConfig
from feller.images.networks.jit import JiTConfig
from feller.images.networks.unet import UNetConfig

__all__ = ["OfLevels", "build_network"]


class OfLevels(nn.Module):
    """A network asked at grey levels 0 ... levels - 1 and a mask after them.

    It sees two numbers for each channel of a pixel: the level from -1 to 1, 0 of the mask, and
    whether it is the mask. So levels that are near each other look alike.

    Args:
        network: Called with numbers `(b, 2 c, h, w)`, the time and the condition.
        levels: How many there are.

    Example:
        >>> seen = OfLevels(lambda x, t, condition: x, 256)
        >>> seen(torch.tensor([0, 255, 256]).view(1, 1, 1, 3), 0.5).flatten()
        tensor([-1.,  1.,  0.,  0.,  0.,  1.])
    """

    def __init__(self, network: Any, levels: int) -> None:
        super().__init__()
        self.network, self.levels = network, levels

    def forward(
        self, x: Int[Tensor, "b c h w"], t: Time, condition: Tensor | None = None
    ) -> Tensor:
        """Apply the network to the numbers."""
        masked = x >= self.levels
        value = torch.where(masked, 0.0, 2.0 * x / (self.levels - 1) - 1)
        return self.network(torch.cat([value, masked.to(value.dtype)], 1), t, condition)


def build_network(
    network: UNetConfig | DiTConfig | JiTConfig,
    levels: int,
    numbers: int,
    *,
    pixel_times: bool = False,
) -> nn.Module:
    """Return a fresh network for the states of images.

    Args:
        network: What it is made of, with the channels of the image.
        levels: Grey levels of images that are tokens; 0 of images that are numbers.
        numbers: Outputs for each channel of a pixel.
        pixel_times: Whether pixels have times of their own.
    """
    channels = network.in_channels * (2 if levels else 1) + pixel_times
    built: nn.Module = replace(network, in_channels=channels).build(numbers)
    built = OfClocks(built) if pixel_times else built
    return OfLevels(built, levels) if levels else built
