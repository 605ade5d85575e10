"""Divergences of powers, on all real numbers: for velocities, drifts and scores."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from feller.core.config import tagged
from feller.core.divergences.base import REALS, BregmanDivergence, Range, joined

__all__ = ["PNorm", "SquaredNorm"]


@tagged("squared_norm")
@dataclass(frozen=True)
class SquaredNorm(BregmanDivergence):
    """D(a, b) = (a - b)^2, from Phi(a) = a^2; homogeneous of degree 2.

    Example:
        >>> import torch
        >>> SquaredNorm()(torch.tensor([3.0]), torch.tensor([1.0]))
        tensor([4.])
    """

    domain: ClassVar[Range] = REALS

    def potential(self, a: Tensor) -> Tensor:
        """Return a^2."""
        return a**2

    def value(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Return (target - predicted)^2."""
        return (target - predicted) ** 2


@tagged("p_norm")
@dataclass(frozen=True)
class PNorm(BregmanDivergence):
    """The divergence of Phi(a) = |a|^p / p, p > 2; homogeneous of degree p.

    Like every divergence here it is a sum over coordinates; half the square of the p-norm is a
    different divergence. Source: Dhillon and Tropp, Matrix Nearness Problems with Bregman
    Divergences, SIAM J. Matrix Anal. Appl. 29 (2007), table 2.1.

    The gradient vanishes at predictions of 0: a network that starts with an output of 0 stays
    there. For p < 2, refused, it would be infinite there; p = 2 is half the squared norm.

    Attributes:
        p: The exponent.

    Example:
        >>> import torch
        >>> PNorm(3.0)(torch.tensor([2.0]), torch.tensor([-1.0]))
        tensor([5.3333])
    """

    p: float = 3.0
    domain: ClassVar[Range] = REALS

    def __post_init__(self) -> None:
        """Reject a potential whose second derivative is infinite at 0, or the same everywhere."""
        if not self.p > 2:
            raise ValueError(f"p is above 2, not {self.p}; for 2 there is squared_norm")

    def potential(self, a: Tensor) -> Tensor:
        """Return |a|^p / p."""
        return a.abs() ** self.p / self.p

    def value(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Return |a|^p / p - |b|^p / p - (a - b) sign(b) |b|^(p - 1)."""
        near = (target - predicted).abs() < predicted.abs() / 8
        return joined(near, self._bend, self._value, target, predicted)

    def _value(self, a: Tensor, b: Tensor) -> Tensor:
        # |b|^p / p and b |b|^(p - 1) are one term: (1 - 1/p) |b|^p.
        slope = b.sign() * b.abs() ** (self.p - 1)
        return a.abs() ** self.p / self.p + (1 - 1 / self.p) * b.abs() ** self.p - a * slope

    def _bend(self, d: Tensor, y: Tensor) -> Tensor:
        return (self.p - 1) * (d * y.abs() ** (self.p / 2 - 1)) ** 2
