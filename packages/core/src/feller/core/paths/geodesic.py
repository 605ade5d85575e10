r"""The geodesic path: :math:`x_t = \exp_{x_0}(\kappa_t \log_{x_0} z)` on a manifold.

On Euclidean space with a Gaussian source it is the CondOT path. Source: Chen and Lipman, arXiv
2302.03660.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from feller.core.checks import check_times
from feller.core.config import tagged
from feller.core.paths.base import ConditionalPath, check_parts, check_source
from feller.core.schedules import CondOT, Schedule, check_mixing
from feller.core.sources import Source
from feller.core.spaces import Manifold
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["GeodesicPath"]


@tagged("geodesic_path")
@dataclass(frozen=True)
class GeodesicPath(ConditionalPath):
    """Shortest paths from the source to the data.

    Example:
        >>> import torch
        >>> from feller.core.sources import UniformBox
        >>> from feller.core.spaces import Torus
        >>> path = GeodesicPath(Torus(), UniformBox(-torch.pi, torch.pi))
        >>> path.sample(torch.tensor([[3.0]]), 0.5, x_0=torch.tensor([[1.0]])).round(decimals=4)
        tensor([[2.]])
    """

    space: Manifold
    source: Source
    schedule: Schedule = field(default_factory=CondOT)

    def __post_init__(self) -> None:
        """Reject a schedule that does not start at 0, and a source outside the space."""
        check_parts(self)
        check_mixing(self.schedule)
        check_source(self.space, self.source)

    def sample(self, z: Tensor, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Tensor:
        """Go the fraction kappa_t of the way from x_0 to z."""
        check_times(t)
        x_0 = self.sample_source(z.shape, rng, like=z) if x_0 is None else x_0
        kappa = self.schedule.alpha(expand_time(t, z))
        x_t = self.space.exp(x_0, kappa * self.space.log(x_0, z))
        # Exactly: what is known stays as it is. Its velocity is that with which it came.
        return torch.where(kappa == 1, z + (x_t - x_t.detach()), x_t)

    def log_density(self, x: Tensor, t: Time, z: Tensor) -> Tensor:
        """Return log p_t(x | z) of each element in nats per volume; `x` and `z` broadcast.

        The distribution is that of the source, drawn together towards z by the factor 1 - kappa
        along the geodesics. Elements at t = 1 are known: they count 0 where they are those of z,
        else minus infinity.

        Raises:
            ValueError: On a manifold whose volume along geodesics is not known here.
        """
        x, z = torch.broadcast_tensors(x, z)
        element = self.space.element_dim
        clock = expand_time(t, x[(..., *[0] * element)])
        left = self.schedule.remainder(clock)
        way = self.space.log(z, x)
        back = way / left[(..., *[None] * element)]
        reach = back.norm(dim=-1) if element else back.abs()
        density = self.source.log_density(self.space.exp(z, back))
        density = density + self.space.log_growth(way, left)
        if self.space.reach < math.inf:
            density = torch.where(reach <= self.space.reach, density, -torch.inf)
        at_z = (x == z).all(-1) if element else x == z
        return torch.where(left > 0, density, torch.where(at_z, 0.0, -torch.inf))
