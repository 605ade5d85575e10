"""The flat torus: angles that wrap around."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from feller.core.config import tagged
from feller.core.spaces.base import Manifold

__all__ = ["Torus"]


@tagged("torus")
@dataclass(frozen=True)
class Torus(Manifold):
    """Angles in [-pi, pi), with a state in the last `event_dim` axes.

    Example:
        >>> Torus().log(torch.tensor([3.0]), torch.tensor([-3.0]))
        tensor([0.2832])
    """

    event_dim: int = 1
    ends: ClassVar[tuple[float, float]] = (-torch.pi - 1e-5, torch.pi + 1e-5)
    reach: ClassVar[float] = torch.pi

    def check(self, x: Tensor) -> None:
        """Raise unless every angle is in [-pi, pi]."""
        if not x.is_floating_point():
            raise ValueError(f"angles are floating point, not {x.dtype}")
        if x.numel() and not x.abs().max() <= torch.pi + 1e-5:
            raise ValueError(f"angles are in [-pi, pi], one of these is {x.abs().max():.3g}")

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        """Turn `x` by `v` and wrap."""
        return self.project(x + v)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the shorter way round from `x` to `y`."""
        return self.project(y - x)

    def project(self, x: Tensor) -> Tensor:
        """Wrap angles to [-pi, pi)."""
        return torch.remainder(x + torch.pi, 2 * torch.pi) - torch.pi

    def project_tangent(self, x: Tensor, v: Tensor) -> Tensor:
        """Return `v`: every vector is tangent."""
        return v

    def log_growth(self, way: Tensor, left: Tensor) -> Tensor:
        """Return -log(left), element by element."""
        return -left.log()
