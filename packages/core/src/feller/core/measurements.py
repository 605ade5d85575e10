r"""Linear measurements of data: y = A z + noise of standard deviation s.

What a posterior asks of one is A itself, and :math:`(r A A^T + s^2)^{-1}`, which each of these has
in closed form. States have channels, height and width as their last axes.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

__all__ = ["AveragePool", "Blur", "ChannelMean", "Measurement", "Pixels"]


class Measurement(ABC):
    """A linear map of data."""

    @abstractmethod
    def __call__(self, z: Tensor) -> Tensor:
        """Return A z of data `(b, *event)`."""

    @abstractmethod
    def solve(self, residual: Tensor, r: Tensor, variance: float) -> Tensor:
        """Return (r A A^T + variance)^-1 of a residual, shaped as A z is; r broadcasts."""

    def residual(self, y: Tensor, seen: Tensor) -> Tensor:
        """Return y less A z."""
        return y - seen


@dataclass(frozen=True)
class Pixels(Measurement):
    """Some elements are measured.

    Attributes:
        known: Which elements are measured; broadcasts against data.

    Example:
        >>> Pixels(torch.tensor([True, False]))(torch.ones(1, 2))
        tensor([[1., 0.]])
    """

    known: Bool[Tensor, "*event"]

    def __call__(self, z: Tensor) -> Tensor:
        """Return the known elements, and 0 for the others."""
        return torch.where(self.known, z, 0.0)

    def solve(self, residual: Tensor, r: Tensor, variance: float) -> Tensor:
        """Divide by r + variance; what is not measured has no residual."""
        return torch.where(self.known, residual / (r + variance), 0.0)

    def residual(self, y: Tensor, seen: Tensor) -> Tensor:
        """Return y less A z of what is measured; of the rest y may be anything, such as NaN."""
        return torch.where(self.known, y - seen, 0.0)


@dataclass(frozen=True)
class ChannelMean(Measurement):
    """The mean over channels is measured: a grayscale image of a colour image.

    Attributes:
        channels: Number of channels.

    Example:
        >>> ChannelMean(3)(torch.tensor([0.0, 3.0, 6.0]).view(1, 3, 1, 1)).flatten()
        tensor([3.])
    """

    channels: int

    def __call__(self, z: Tensor) -> Tensor:
        """Return the mean `(b, 1, h, w)`."""
        return z.mean(-3, keepdim=True)

    def solve(self, residual: Tensor, r: Tensor, variance: float) -> Tensor:
        """Divide by r / channels + variance."""
        return residual / (r / self.channels + variance)


@dataclass(frozen=True)
class AveragePool(Measurement):
    """Means over square blocks are measured: a downsampled image.

    Attributes:
        side: Side of a block, in pixels.

    Example:
        >>> AveragePool(2)(torch.arange(4.0).view(1, 1, 2, 2)).flatten()
        tensor([1.5000])
    """

    side: int

    def __call__(self, z: Tensor) -> Tensor:
        """Return the means `(b, c, h / side, w / side)`."""
        return F.avg_pool2d(z, self.side)

    def solve(self, residual: Tensor, r: Tensor, variance: float) -> Tensor:
        """Divide by r / side^2 + variance."""
        return residual / (r / self.side**2 + variance)


@dataclass(frozen=True)
class Blur(Measurement):
    """A blurred image is measured, with periodic borders.

    Attributes:
        width: Standard deviation of the blur, in pixels.

    Example:
        >>> Blur(2.0)(torch.ones(1, 1, 4, 4)).allclose(torch.ones(1, 1, 4, 4))
        True
    """

    width: float

    def __call__(self, z: Tensor) -> Tensor:
        """Return the blurred image."""
        return self._filter(z, self._spectrum(z))

    def solve(self, residual: Tensor, r: Tensor, variance: float) -> Tensor:
        """Divide each wave by r times its damping squared, plus variance."""
        damping = self._spectrum(residual) ** 2
        return self._filter(residual, 1 / (r * damping + variance))

    def _spectrum(self, z: Tensor) -> Tensor:
        rows, columns = (torch.fft.fftfreq(n, dtype=z.dtype, device=z.device) for n in z.shape[-2:])
        square = rows[:, None] ** 2 + columns**2
        return torch.exp(-2 * (torch.pi * self.width) ** 2 * square)

    def _filter(self, z: Tensor, spectrum: Tensor) -> Tensor:
        return torch.fft.ifft2(torch.fft.fft2(z) * spectrum).real
