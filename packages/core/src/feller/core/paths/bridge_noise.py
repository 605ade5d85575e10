r"""The noise of a bridge: how far its states stray from the line between their two ends.

Its variance :math:`g_t^2` is 0 at both ends. Given as a variance, for :math:`\dot g = (g^2)^\cdot /
2g` is infinite at the ends of the usual ones where the derivative of :math:`g^2` is not.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from feller.core.config import tagged
from feller.core.schedules import derivative

__all__ = ["BridgeNoise", "BrownianNoise", "SineNoise"]


class BridgeNoise(ABC):
    """A variance as a function of time, 0 at t = 0 and at t = 1."""

    @abstractmethod
    def variance(self, t: Tensor) -> Tensor:
        """Return g^2."""

    def variance_dot(self, t: Tensor) -> Tensor:
        """Return the time derivative of g^2."""
        return derivative(self.variance, t)

    def width_dot(self, t: Tensor) -> Tensor:
        """Return the time derivative of g."""
        return self.variance_dot(t) / (2 * self.variance(t).sqrt())


@tagged("brownian_noise")
@dataclass(frozen=True)
class BrownianNoise(BridgeNoise):
    """The variance of a Brownian bridge, s^2 t (1 - t).

    With the entropic coupling of scale 2 s^2 its diffusion is the Schroedinger bridge. Source: Tong
    et al., arXiv 2307.03672, section 3; with s^2 = 2 the interpolant of Albergo et al., arXiv
    2303.08797.

    Attributes:
        scale: s, the noise of the process per square root of unit time.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        """Reject a scale that makes no noise."""
        if not 0 < self.scale < float("inf"):
            raise ValueError(f"scale is positive, not {self.scale}: noise=None for a straight line")

    def variance(self, t: Tensor) -> Tensor:
        """Return s^2 t (1 - t)."""
        return self.scale**2 * t * (1 - t)

    def variance_dot(self, t: Tensor) -> Tensor:
        """Return s^2 (1 - 2 t)."""
        return self.scale**2 * (1 - 2 * t)


@tagged("sine_noise")
@dataclass(frozen=True)
class SineNoise(BridgeNoise):
    """The deviation s sin^2(pi t), with which velocities are finite at both ends.

    Source: Albergo, Boffi and Vanden-Eijnden, arXiv 2303.08797, table 8.

    Attributes:
        scale: s, the deviation in the middle.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        """Reject a scale that makes no noise."""
        if not 0 < self.scale < float("inf"):
            raise ValueError(f"scale is positive, not {self.scale}: noise=None for a straight line")

    def variance(self, t: Tensor) -> Tensor:
        """Return s^2 sin^4(pi t)."""
        return self.scale**2 * torch.sin(pi * torch.minimum(t, 1 - t)) ** 4

    def variance_dot(self, t: Tensor) -> Tensor:
        """Return 4 pi s^2 sin^3(pi t) cos(pi t)."""
        return 4 * pi * self.scale**2 * torch.sin(pi * t) ** 3 * torch.cos(pi * t)

    def width_dot(self, t: Tensor) -> Tensor:
        """Return pi s sin(2 pi t)."""
        return pi * self.scale * torch.sin(2 * pi * t)
