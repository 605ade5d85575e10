"""Images that agree with known pixels or measurements, without training for it.

If the model was trained with per-pixel times, or with masks, known pixels are at t = 1 from the
start and the others are sampled given these, exactly. For any other model they are kept on their
path from noise to data (`KeepKnown`). For a flow, a gray, smaller or blurred version of the image
may also be known (`Measured`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, UInt8
from torch import Tensor

from feller.core.checks import check_choices
from feller.core.measured import Measured
from feller.core.measurements import AveragePool, Blur, ChannelMean, Measurement
from feller.core.schedules import Schedule
from feller.core.solvers import KeepKnown, Solver
from feller.images.codec import ImageCodec
from feller.images.pixels import opaque, opened, upright

__all__ = ["Given", "Plan", "Seen", "read_image", "read_mask"]

Seen = Literal["pixels", "gray", "small", "blur"]


class Plan(NamedTuple):
    """How states become images.

    Attributes:
        model: The model.
        solver: The solver.
        times: Its grid, or a time for each pixel; None for a solver that has its own.
        x_0: The states at the source.
    """

    model: Any
    solver: Solver
    times: Tensor | None
    x_0: Tensor


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is known of the images to sample.

    Attributes:
        image: What was seen, bytes `(h, w, c)`.
        seen: What that is: some `pixels` of the image, the mean of its channels (`gray`), its means
            over blocks (`small`, whose size sets theirs), or the image after a Gaussian `blur`.
        mask: Which pixels are sampled; the others are known. For `pixels` only.
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
    mask: Bool[Tensor, "rows columns"] | None = None
    width: float = 1.5
    std: float = 0.05
    repeats: int = 1

    def __post_init__(self) -> None:
        """Reject a mask without use, and none where it is needed."""
        check_choices(self)
        if self.image.dtype != torch.uint8:
            raise ValueError(f"a given image has bytes, 0 to 255, not {self.image.dtype}")
        if self.mask is not None and self.mask.dtype != torch.bool:
            raise ValueError(
                f"a mask is true where pixels are drawn, not {self.mask.dtype}: give mask > 0"
            )
        if self.repeats != 1 and self.mask is None:
            raise ValueError(f"repeats is of known pixels, which need a mask, not of {self.seen}")
        if (self.mask is None) == (self.seen == "pixels"):
            raise ValueError(
                "known pixels need a mask, white where pixels are drawn"
                if self.mask is None
                else f"a mask marks known pixels, but {self.seen} is what was seen"
            )
        if not 0 < self.width < torch.inf:
            raise ValueError(f"the width of a blur is positive, not {self.width}")

    def applied(self, plan: "Plan", codec: ImageCodec, *, pixel_times: bool = False) -> "Plan":
        """Return a plan that draws images which agree.

        Args:
            plan: How images are drawn.
            codec: That of the model.
            pixel_times: Whether the model's pixels have times of their own.

        Raises:
            ValueError: When the image is of another size, or the model no flow where it has to be.
        """
        if self.mask is None:
            y = rearrange(self.image, "h w c -> 1 c h w").to(plan.x_0) / 127.5 - 1
            measurement = self._measurement(codec.shape)
            seen = y.mean(1, keepdim=True) if self.seen == "gray" else y
            return plan._replace(model=Measured(plan.model, measurement, seen, self.std))
        self._check_shape(codec.shape)
        if self.mask.shape != codec.shape[1:]:
            height, width = codec.shape[1:]
            raise ValueError(
                f"the model draws {height}x{width}, but the mask is {_size(self.mask)}"
            )
        z = codec.encode((self.image[None], None))[0].to(plan.x_0)
        known = ~self.mask.to(z.device)
        masked = getattr(plan.model.path.source, "mask", None) is not None
        if not pixel_times and not masked:
            return plan._replace(solver=KeepKnown(plan.solver, z, known, self.repeats))
        if self.repeats > 1:
            raise ValueError(
                f"repeats is 1, not {self.repeats}, for a model that takes known pixels as they are"
            )
        x_0 = torch.where(known, z, plan.x_0)
        if not pixel_times:  # what is not a mask stays, as where so much is known in training
            start = _time_of(plan.model.path.schedule, float(known.double().mean()))
            grid = plan.times if plan.times is not None else torch.tensor([0.0, 1.0])
            return plan._replace(x_0=x_0, times=start + (1 - start) * grid)
        if plan.times is None:
            raise ValueError(f"pixels with times of their own need a grid, not {plan.solver}")
        grid = plan.times.to(x_0)[:, None, None, None, None]
        times = torch.where(known, 1.0, grid).expand(-1, len(x_0), -1, -1, -1)
        return plan._replace(x_0=x_0, times=times)

    def finished(self, images: UInt8[Tensor, "n h w c"]) -> UInt8[Tensor, "n h w c"]:
        """Return images with the known pixels as they were given."""
        if self.mask is None:
            return images
        return torch.where(self.mask[..., None], images, self.image)

    def _measurement(self, shape: Any) -> Measurement:
        channels, height, width = shape
        if self.seen == "small":
            side = max(height // self.image.shape[0], 1)
            rows, columns, *_ = self.image.shape
            if (rows * side, columns * side, self.image.shape[2]) != (height, width, channels):
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


def _time_of(schedule: Schedule, kappa: float) -> float:
    """Return the time at which the mixing weight is `kappa`."""
    times = torch.linspace(0, 0.999, 1000, dtype=torch.float64)
    return float(times[(schedule.alpha(times) - kappa).abs().argmin()])


def _size(x: Tensor) -> str:
    return f"{x.shape[0]}x{x.shape[1]}"


def read_image(file: str | Path, channels: int) -> UInt8[Tensor, "h w c"]:
    """Read an image in gray (one channel) or colour, transparent parts white.

    Raises:
        DataError: When it is not an image.
    """
    with opened(Path(file)) as image:
        shown = opaque(upright(image), "white").convert("L" if channels == 1 else "RGB")
        return torch.from_numpy(np.array(shown)).reshape(shown.height, shown.width, -1)


def read_mask(file: str | Path) -> Bool[Tensor, "h w"]:
    """Read a mask: true where it is lighter than middle gray.

    Raises:
        DataError: When it is not an image.
    """
    return read_image(file, 1)[..., 0] > 127
