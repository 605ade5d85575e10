"""Euclidean space R^d, flat in every direction: images, coordinates, signals."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from feller.core.config import tagged
from feller.core.spaces.base import Manifold

__all__ = ["Euclidean"]


@tagged("euclidean")
@dataclass(frozen=True)
class Euclidean(Manifold):
    """R^d, with a state in the last `event_dim` axes: 1 for vectors, 3 for images (c, h, w).

    Example:
        >>> import torch
        >>> Euclidean(1).exp(torch.zeros(2), torch.ones(2))
        tensor([1., 1.])
    """

    event_dim: int = 1
    ends: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    is_flat: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check that a state has axes."""
        if self.event_dim < 1:
            raise ValueError(f"a Euclidean state has at least one axis, not {self.event_dim}")

    def check(self, x: Tensor) -> None:
        """Raise unless `x` is floating point and has at least `event_dim` axes."""
        if not x.is_floating_point():
            raise ValueError(f"a Euclidean state is floating point, not {x.dtype}")
        if x.ndim < self.event_dim:
            raise ValueError(
                f"a state has {self.event_dim} axes, this one {x.ndim}: {tuple(x.shape)}"
            )

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        """Return x + v."""
        return x + v

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Return y - x."""
        return y - x

    def project(self, x: Tensor) -> Tensor:
        """Return `x`: every point is in the space."""
        return x

    def project_tangent(self, x: Tensor, v: Tensor) -> Tensor:
        """Return `v`: every vector is tangent."""
        return v

    def reflect(self, x: Tensor) -> Tensor:
        """Return `x`: nothing leaves the space."""
        return x

    def log_growth(self, way: Tensor, left: Tensor) -> Tensor:
        """Return -log(left), element by element."""
        return -left.log()
