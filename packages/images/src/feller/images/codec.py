"""The codec of images: bytes 0 ... 255 against numbers in [-1, 1].

Raw images are `uint8 (b, h, w, c)`, as files and plots have them; states are `float32 (b, c, h,
w)`, as networks want them.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from feller.core import random
from feller.core.codec import Codec
from feller.core.config import tagged
from feller.core.typing import Rng

__all__ = ["ImageCodec"]


@tagged("image_codec")
@dataclass(frozen=True)
class ImageCodec(Codec):
    """Images of one size, with labels.

    Attributes:
        shape: Channels, height, width.
        classes: The names of the labels; empty for images without.
        flip: Whether training mirrors half of the images left to right.

    Example:
        >>> codec = ImageCodec((1, 2, 2))
        >>> z, _ = codec.encode((torch.full((1, 2, 2, 1), 200, dtype=torch.uint8), None))
        >>> codec.decode(z).unique()
        tensor([200], dtype=torch.uint8)
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...] = ()
    flip: bool = False

    def encode(
        self, raw: tuple[UInt8[Tensor, "b h w c"], Int[Tensor, " b"] | None], rng: Rng = None
    ) -> tuple[Float[Tensor, "b c h w"], Int[Tensor, " b"] | None]:
        """Map bytes to [-1, 1]; flip at random where asked and an rng is given.

        Raises:
            ValueError: When the images are not of the codec's size.
        """
        images, labels = raw
        x = rearrange(images, "b h w c -> b c h w").float() / 127.5 - 1
        if x.shape[1:] != self.shape:
            raise ValueError(f"images are (c, h, w) = {self.shape}, these {tuple(x.shape[1:])}")
        if self.flip and rng is not None:
            mirrored = random.uniform((len(x),), rng, like=x) < 0.5
            x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
        return x, labels if self.classes else None

    def decode(self, z: Float[Tensor, "b c h w"]) -> UInt8[Tensor, "b h w c"]:
        """Return round(127.5 x + 127.5), clipped to bytes."""
        pixels = (127.5 * z + 127.5).round().clamp(0, 255).to(torch.uint8)
        return rearrange(pixels, "b c h w -> b h w c").contiguous()

    def drop(self, condition: Int[Tensor, " b"], where: Bool[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Replace labels by the null label, which is the number of classes."""
        return condition.masked_fill(where, len(self.classes))

    def label(self, name: str) -> int:
        """Return the label of a class, by name or number.

        Raises:
            ValueError: When there is no such class.
        """
        names = [c.lower() for c in self.classes]
        if name.lower() in names:
            return names.index(name.lower())
        if name.isdigit() and int(name) < len(self.classes):
            return int(name)
        known = ", ".join(f"{i} {c}" for i, c in enumerate(self.classes)) or "none"
        raise ValueError(f"unknown label {name!r}; there are {known}")
