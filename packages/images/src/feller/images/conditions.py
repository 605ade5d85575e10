"""Images that agree with what is known of them, with no training for it.

Known pixels are kept on their way from noise to data, for any model (`KeepKnown`); of a flow also
their gray, a smaller or a blurred image may be known (`Measured`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, UInt8
from torch import Tensor

from feller.core.algebra import Model
from feller.core.checks import check_choices
from feller.core.measured import Measured
from feller.core.measurements import AveragePool, Blur, ChannelMean, Measurement
from feller.core.solvers import KeepKnown, Solver
from feller.images.pixels import opaque, opened, upright

__all__ = ["Given", "Seen", "read_image", "read_mask"]

Seen = Literal["pixels", "gray", "small", "blur"]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is known of the images to be drawn.

    Attributes:
        image: What was seen, bytes `(h, w, c)`.
        seen: What that is: some `pixels` of the image, the mean of its channels (`gray`), its means
            over blocks (`small`, whose size sets theirs), or the image after a Gaussian `blur`.
        mask: Which pixels are drawn; the others are known. For `pixels` alone.
        width: Standard deviation of the blur, in pixels.
        std: Standard deviation of the noise in what was seen, where white is 1 and black -1.
        repeats: How often each step is taken for `pixels`; above 1 the others suit them better.

    Raises:
        ValueError: When there is a mask without use, or none where it is needed.

    Example:
        >>> image = torch.zeros(4, 4, 1, dtype=torch.uint8)
        >>> given = Given(image=image, mask=torch.ones(4, 4, dtype=torch.bool).triu())
        >>> given.seen
        'pixels'
    """

    image: UInt8[Tensor, "h w c"]
    seen: Seen = "pixels"
    mask: Bool[Tensor, "h w"] | None = None
    width: float = 1.5
    std: float = 0.05
    repeats: int = 1

    def __post_init__(self) -> None:
        """Refuse a mask without use, and none where it is needed."""
        check_choices(self)
        if (self.mask is None) == (self.seen == "pixels"):
            raise ValueError(
                "known pixels need a mask, white where pixels are drawn"
                if self.mask is None
                else f"a mask marks known pixels, but {self.seen} is what was seen"
            )

    def applied(self, model: Model, solver: Solver, like: Tensor) -> tuple[Model, Solver]:
        """Return a model and a solver that draw images `(b, c, h, w)` like these, which agree.

        Raises:
            ValueError: When the image is of another size, or the model no flow where it has to be.
        """
        y = rearrange(self.image, "h w c -> 1 c h w").to(like) / 127.5 - 1
        if self.mask is None:
            measurement = self._measurement(like.shape[-3:])
            seen = y.mean(1, keepdim=True) if self.seen == "gray" else y
            return Measured(model, measurement, seen, self.std), solver
        self._check_shape(like.shape[-3:])
        return model, KeepKnown(solver, y, ~self.mask.to(like.device), self.repeats)

    def finished(self, images: UInt8[Tensor, "n h w c"]) -> UInt8[Tensor, "n h w c"]:
        """Return images with the known pixels as they were given."""
        if self.mask is None:
            return images
        return torch.where(self.mask[..., None], images, self.image)

    def _measurement(self, shape: Any) -> Measurement:
        channels, height, width = shape
        if self.seen == "small":
            side = height // self.image.shape[0]
            if self.image.shape != (height // max(side, 1), width // max(side, 1), channels):
                raise ValueError(
                    f"the sides of a small image divide those of {height}x{width}, with "
                    f"{channels} channels: not {_size(self.image)} with {self.image.shape[2]}"
                )
            return AveragePool(side)
        self._check_shape(shape)
        return ChannelMean(channels) if self.seen == "gray" else Blur(self.width)

    def _check_shape(self, shape: Any) -> None:
        channels, height, width = shape
        if self.image.shape != (height, width, channels):
            raise ValueError(
                f"the model draws {height}x{width} with {channels} channels, the image is "
                f"{_size(self.image)} with {self.image.shape[2]}"
            )


def _size(x: Tensor) -> str:
    return f"{x.shape[0]}x{x.shape[1]}"


def read_image(file: str | Path, channels: int) -> UInt8[Tensor, "h w c"]:
    """Read an image in gray (one channel) or colour, transparent parts white.

    Raises:
        DataError: When it is no image.
    """
    with opened(Path(file)) as image:
        shown = opaque(upright(image), "white").convert("L" if channels == 1 else "RGB")
        return torch.from_numpy(np.array(shown)).reshape(shown.height, shown.width, -1)


def read_mask(file: str | Path) -> Bool[Tensor, "h w"]:
    """Read a mask: true where it is lighter than middle gray.

    Raises:
        DataError: When it is no image.
    """
    return read_image(file, 1)[..., 0] > 127
