r"""Paths of rotations that narrow about the data; flows, diffusions and jumps follow each.

An **isotropic path** has :math:`p_t(R | R_1) = f(w; s_t)` with w the angle from R_1 to R and f a
family of `feller.proteins.so3.radial`, from the uniform distribution to one of a few degrees. Given
a source sample x_0 the state x_t is on the geodesic from R_1 to it, at the angle with as much of
p_t below it as x_0 has of Haar measure: at t = 0 that is x_0.

At t = 1 a little spread is left, which the last step of a simulation takes away with a draw of the
posterior. An element whose own clock stands at t = 1 is known, and is R_1 itself.

The geodesic path and the mixture path of the core do as they are, on `Rotations` from
`UniformRotations`; the first has a flow only.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from feller.core.checks import check_times
from feller.core.config import tagged
from feller.core.paths import ConditionalPath
from feller.core.schedules import CondOT, Schedule, check_mixing, derivative
from feller.core.sources import Source
from feller.core.times import expand_time
from feller.core.typing import Rng, Time
from feller.proteins.so3.fisher import FISHER
from feller.proteins.so3.igso3 import IGSO3
from feller.proteins.so3.radial import RadialDistribution, uniform_cdf
from feller.proteins.so3.rotations import Rotations, angle, exp, log, relative
from feller.proteins.so3.sources import UniformRotations

__all__ = ["FisherPath", "HeatKernelPath", "IsotropicPath"]


class IsotropicPath(ConditionalPath):
    """Rotations whose distribution about the data depends on the angle alone.

    Attributes:
        space: Rotations.
        schedule: Of kappa.
        family: The family of distributions.
    """

    space: Rotations
    family: ClassVar[RadialDistribution]
    source: ClassVar[Source] = UniformRotations()

    @abstractmethod
    def parameter(self, t: Tensor) -> Tensor:
        """Return s_t, the parameter of the family at time `t`."""

    @abstractmethod
    def variance(self, t: Tensor) -> Tensor:
        """Return the noise of a diffusion: about how fast an axis's variance falls, in rad^2."""

    def parameter_dot(self, t: Tensor) -> Tensor:
        """Return the time derivative of `parameter`."""
        # A number of no axes has a slope in float64, whatever it is itself.
        return derivative(self.parameter, t).to(t.dtype)

    def sample(self, z: Tensor, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Tensor:
        """Bring x_0 nearer to z, along the geodesic."""
        check_times(t)
        x_0 = self.sample_source(z.shape, rng, like=z) if x_0 is None else x_0
        away = log(relative(z, x_0))
        far = away.norm(dim=-1)
        t = expand_time(t, far)
        wide = far.double().clamp_min(1e-6)
        near = self.family.quantile(uniform_cdf(wide), self.parameter(t.double()))
        x_t = z @ exp((near / wide).to(z.dtype)[..., None] * away)
        return torch.where((t == 1)[..., None, None], z, x_t)  # exactly: what is known stays

    def log_density(self, x: Tensor, t: Time, z: Tensor) -> Tensor:
        """Return log p_t(x | z) of each rotation in nats, by Haar measure; `x` and `z` broadcast.

        Elements at t = 1 are known: they count 0 where they are those of z, else minus infinity.
        """
        w = angle(relative(z, x))
        t = expand_time(t, w)
        density = self.family.log_density(w, self.parameter(t))
        same = (x == z).flatten(-2).all(-1)
        return torch.where(t < 1, density, torch.where(same, 0.0, -torch.inf))


@tagged("fisher_path")
@dataclass(frozen=True)
class FisherPath(IsotropicPath):
    r"""Isotropic Fisher, of concentration :math:`\nu_t = \nu_0 + (1 + \nu_1)^{\kappa_t} - 1`.

    At t = 1 the angle is 5 degrees, as a root mean square, with the default; a conditional jump
    process then makes three jumps a rotation.

    Attributes:
        start: nu_0, the concentration at t = 0; the source counts as uniform.
        rise: nu_1, how much it rises.
        schedule: Of kappa.

    Example:
        >>> FisherPath().parameter(torch.tensor([0.0, 0.5, 1.0])).round(decimals=3)
        tensor([1.0000e-03, 1.9026e+01, 4.0000e+02])
    """

    space: Rotations = field(default_factory=Rotations)
    start: float = 1e-3
    rise: float = 400.0
    schedule: Schedule = field(default_factory=CondOT)
    family: ClassVar[RadialDistribution] = FISHER

    def __post_init__(self) -> None:
        """Reject a distribution that is not nearly uniform at first, or does not narrow."""
        check_mixing(self.schedule)
        if not (0 <= self.start <= 0.01 and self.rise > 0):
            raise ValueError(
                "a concentration starts between 0 and 0.01 and rises, "
                f"not from {self.start} by {self.rise}"
            )

    def parameter(self, t: Tensor) -> Tensor:
        """Return nu."""
        return self.start + torch.expm1(math.log1p(self.rise) * self.schedule.alpha(t))

    def variance(self, t: Tensor) -> Tensor:
        """Return the rate at which 1 / (1 + nu), about the variance of an axis, falls."""
        return self.parameter_dot(t) / (1 + self.parameter(t)) ** 2


@tagged("heat_kernel_path")
@dataclass(frozen=True)
class HeatKernelPath(IsotropicPath):
    r"""Heat kernels of deviation :math:`\sigma_t = \sigma_0^{1 - \kappa_t} \sigma_1^{\kappa_t}`.

    Brownian motion of rotations in reversed time.

    Attributes:
        wide: sigma_0, the deviation of each axis at t = 0, in radians: 3 is uniform to 1e-3.
        narrow: sigma_1, that at t = 1, in radians.
        schedule: Of kappa.

    Example:
        >>> HeatKernelPath().parameter(torch.tensor([0.0, 1.0])).sqrt()
        tensor([3.0000, 0.0500])
    """

    space: Rotations = field(default_factory=Rotations)
    wide: float = 3.0
    narrow: float = 0.05
    schedule: Schedule = field(default_factory=CondOT)
    family: ClassVar[RadialDistribution] = IGSO3

    def __post_init__(self) -> None:
        """Reject a distribution that is not nearly uniform at first, or does not narrow."""
        check_mixing(self.schedule)
        if not (self.wide >= 2.5 and 0.01 <= self.narrow < self.wide):
            raise ValueError(
                "a deviation starts at 2.5 rad or more and ends at 0.01 rad or more, "
                f"not at {self.wide} and {self.narrow}"
            )

    def parameter(self, t: Tensor) -> Tensor:
        """Return tau, the square of sigma."""
        fall = math.log(self.narrow / self.wide)
        return self.wide**2 * torch.exp(2 * fall * self.schedule.alpha(t))

    def variance(self, t: Tensor) -> Tensor:
        """Return -tau_dot: with it the diffusion is that of reversed time."""
        return -self.parameter_dot(t)
