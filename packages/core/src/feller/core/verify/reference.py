"""What the distribution of a path is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from feller.core.conditions import rows_of

__all__ = ["Reference"]


@dataclass(frozen=True)
class Reference:
    """The finite data from which the distribution of a path is made.

    Attributes:
        points: Data points, batch first; of a product, a dict of them; on a bridge, and for a model
            of coupled pairs on any path, a `Pair` of source samples and data points.
        weights: Their probabilities; uniform if None.
        conditions: The condition of each point, if any.
    """

    points: Any
    weights: Tensor | None = None
    conditions: Any = None

    def __post_init__(self) -> None:
        """Check that each point has a weight."""
        if not _first(self.points).ndim:
            raise ValueError("points have a batch axis, first; this one has no axes")
        if self.weights is not None and self.weights.shape != _first(self.points).shape[:1]:
            shape, count = tuple(self.weights.shape), len(_first(self.points))
            raise ValueError(f"weights have shape {shape} for {count} points: give one each")

    @property
    def probabilities(self) -> Tensor:
        """The probabilities of the points in float64."""
        one = _first(self.points)
        if self.weights is None:
            return torch.full((len(one),), 1 / len(one), dtype=torch.float64, device=one.device)
        return self.weights.double()

    def draw(self, n: int, rng: torch.Generator) -> tuple[Any, Any]:
        """Draw points, and the conditions that go with them."""
        index = torch.multinomial(self.probabilities.cpu(), n, replacement=True, generator=rng)
        return self._rows(index.to(_first(self.points).device))

    def at(self, u: Tensor) -> tuple[Any, Any]:
        """Return the point at each quantile, and its condition: uniforms in, draws out."""
        reached = torch.searchsorted(
            self.probabilities.cumsum(0), u.double().contiguous(), right=True
        )
        return self._rows(reached.clamp_max(len(_first(self.points)) - 1))

    def _rows(self, index: Tensor) -> tuple[Any, Any]:
        conditions = rows_of(self.conditions, index)
        if isinstance(self.points, Mapping):
            return {name: value[index] for name, value in self.points.items()}, conditions
        return self.points[index], conditions


def _first(points: Any) -> Any:
    return next(iter(points.values())) if isinstance(points, Mapping) else points
