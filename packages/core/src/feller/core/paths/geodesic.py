r"""The geodesic path: :math:`x_t = \exp_{x_0}(\kappa_t \log_{x_0} z)` on a manifold.

On Euclidean space with a Gaussian source it is the CondOT path. Source: Chen and Lipman, arXiv
2302.03660.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from feller.core.config import tagged
from feller.core.paths.base import ConditionalPath
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
        """Refuse a schedule that does not start at 0."""
        check_mixing(self.schedule)

    def sample(self, z: Tensor, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Tensor:
        """Go the share kappa_t of the way from x_0 to z."""
        x_0 = self.sample_source(z.shape, rng, like=z) if x_0 is None else x_0
        kappa = self.schedule.alpha(expand_time(t, z))
        x_t = self.space.exp(x_0, kappa * self.space.log(x_0, z))
        return torch.where(kappa == 1, z, x_t)  # exactly: what is known stays as it is
