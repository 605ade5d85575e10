"""Intervals: numbers between two ends, where what moves out is reflected."""

from dataclasses import dataclass

import torch
from torch import Tensor

from feller.core.config import tagged
from feller.core.spaces.base import StateSpace

__all__ = ["Interval"]


@tagged("interval")
@dataclass(frozen=True)
class Interval(StateSpace):
    """Numbers in [low, high], with a state in the last `event_dim` axes.

    Example:
        >>> import torch
        >>> Interval().reflect(torch.tensor([0.5, 1.25, -3.5]))
        tensor([0.5000, 0.7500, 0.5000])
    """

    low: float = -1.0
    high: float = 1.0
    event_dim: int = 1

    def __post_init__(self) -> None:
        """Check that the interval is not empty."""
        if not self.low < self.high:
            raise ValueError(f"low is below high, not {self.low} and {self.high}")

    @property
    def ends(self) -> tuple[float, float]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Its two ends."""
        return self.low, self.high

    def check(self, x: Tensor) -> None:
        """Raise unless every number is between the ends."""
        if not x.is_floating_point():
            raise ValueError(f"numbers of an interval are floating point, not {x.dtype}")
        if x.numel() and not bool(self._inside(x).all()):
            raise ValueError(
                f"numbers are in [{self.low}, {self.high}], these {x.min():.3g} ... {x.max():.3g}"
            )

    def reflect(self, x: Tensor) -> Tensor:
        """Fold back what is outside, as often as it takes; what is inside stays as it is."""
        span = self.high - self.low
        way = torch.remainder(x - self.low, 2 * span)
        folded = self.low + torch.where(way > span, 2 * span - way, way)
        return torch.where(self._inside(x), x, folded.clamp(self.low, self.high))

    def _inside(self, x: Tensor) -> Tensor:
        return (x >= self.low) & (x <= self.high)
