"""The unit sphere S^d in R^(d+1), with the metric it inherits."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from feller.core.config import tagged
from feller.core.spaces.base import Manifold

__all__ = ["Sphere"]


@tagged("sphere")
@dataclass(frozen=True)
class Sphere(Manifold):
    """Unit vectors in the last axis. Angles are in radians.

    Example:
        >>> north, east = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
        >>> Sphere().log(north, east).norm()
        tensor(1.5708)
    """

    event_dim: int = 1
    element_dim: ClassVar[int] = 1
    is_curved: ClassVar[bool] = True
    reach: ClassVar[float] = torch.pi

    def check(self, x: Tensor) -> None:
        """Raise unless the last axis holds unit vectors, to 1e-3."""
        if not x.is_floating_point():
            raise ValueError(f"points of the sphere are floating point, not {x.dtype}")
        error = (x.norm(dim=-1) - 1).abs().max() if x.numel() else torch.zeros(())
        if not error <= 1e-3:
            raise ValueError(
                f"points of the sphere have norm 1, one of these is off by {error:.2g}"
            )

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        """Walk the great circle that leaves `x` along `v` by the angle |v|."""
        angle = v.norm(dim=-1, keepdim=True)
        # sinc(angle / pi) = sin(angle) / angle, and 1 at zero with the right gradient.
        return self.project(angle.cos() * x + torch.sinc(angle / torch.pi) * v)

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the tangent at `x` towards `y`, as long as the angle between them.

        To the opposite point every way is as short; the one taken is towards the axis that `x` has
        least of.
        """
        tangent, cosine = self.project_tangent(x, y), (x * y).sum(-1, keepdim=True)
        axis = torch.zeros_like(x).scatter(-1, x.abs().argmin(-1, keepdim=True), 1.0)
        opposite = (tangent == 0).all(-1, keepdim=True) & (cosine < 0)
        tangent = torch.where(opposite, 1e-12 * self.project_tangent(x, axis), tangent)
        sine = tangent.norm(dim=-1, keepdim=True)
        # atan2 keeps full precision at 0 and pi, where acos loses half the digits.
        angle = torch.atan2(sine, cosine)
        apart = sine > 0
        return tangent * torch.where(apart, angle / torch.where(apart, sine, 1.0), 1.0)

    def project(self, x: Tensor) -> Tensor:
        """Return x / |x|."""
        return x / x.norm(dim=-1, keepdim=True)

    def project_tangent(self, x: Tensor, v: Tensor) -> Tensor:
        """Remove the part of `v` along `x`."""
        return v - (x * v).sum(-1, keepdim=True) * x

    def log_growth(self, way: Tensor, left: Tensor) -> Tensor:
        """Return that of the length, and of the sine of the angle in the other directions."""
        angle = way.norm(dim=-1)
        wide = torch.sinc(angle / left / torch.pi).abs() / torch.sinc(angle / torch.pi)
        return -left.log() + (way.shape[-1] - 2) * (wide.log() - left.log())
