"""Destinations of rotations: isotropic distributions, and where jumps land about a centre."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.generators import Destination
from feller.core.typing import Rng
from feller.proteins.so3.radial import RadialDistribution
from feller.proteins.so3.rotations import angle, exp, relative

__all__ = ["About", "Isotropic"]


_NO_POINTS = "no points are known that stand for a distribution of rotations; draw from it"


@dataclass(frozen=True)
class Isotropic(Destination):
    """R_1 Exp(w axis): the angle w by a family of distributions, the axis uniform.

    A mixture of these, `Mixture(weights, Isotropic(...))`, is a posterior over rotations.

    Attributes:
        centre: R_1.
        parameter: That of the distribution.
        family: The family.

    Example:
        >>> import torch
        >>> from feller.proteins.so3.fisher import FISHER
        >>> about = Isotropic(torch.eye(3), torch.tensor(1e6), FISHER)
        >>> about.sample(torch.Generator().manual_seed(0)).round().diagonal()
        tensor([1., 1., 1.])
    """

    centre: Float[Tensor, "*batch 3 3"]
    parameter: Float[Tensor, "*batch"]
    family: RadialDistribution
    element_dim: ClassVar[int] = 2
    is_density: ClassVar[bool] = True

    def log_prob(self, y: Float[Tensor, "*batch 3 3"]) -> Tensor:
        """Return the log density of rotations in nats, by Haar measure of mass 1."""
        return self.family.log_density(angle(relative(self.centre, y)), self.parameter)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Isotropic":
        """Change the centres and the parameters."""
        return Isotropic(change(self.centre), change(self.parameter), self.family)

    def sample(self, rng: Rng) -> Tensor:
        """Draw an angle and an axis for each."""
        u = random.uniform(self.parameter.shape, rng, like=self.parameter)
        return _turn(self.centre, self.family.quantile(u, self.parameter), rng)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Refuse: no few points stand for a distribution of rotations.

        Raises:
            LookupError: Always.
        """
        raise LookupError(_NO_POINTS)


@dataclass(frozen=True)
class About(Destination):
    """R_1 Exp(w axis): w where the mass of a family of distributions changes, the axis uniform.

    Attributes:
        centre: R_1.
        parameter: That of the distribution.
        family: The family.
        inside: Whether it lands where mass gathers, inside of the edge, or where it is lost.
    """

    centre: Float[Tensor, "*batch 3 3"]
    parameter: Float[Tensor, "*batch"]
    family: RadialDistribution
    inside: bool = True

    def map(self, change: Callable[[Tensor], Tensor]) -> "About":
        """Change the centres and the parameters."""
        return About(change(self.centre), change(self.parameter), self.family, self.inside)

    def sample(self, rng: Rng) -> Tensor:
        """Draw an angle and an axis for each."""
        u = random.uniform(self.parameter.shape, rng, like=self.parameter)
        return _turn(self.centre, self.family.landing(u, self.parameter, inside=self.inside), rng)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Refuse: see `Isotropic`."""
        raise LookupError(_NO_POINTS)


def _turn(centre: Tensor, w: Tensor, rng: Rng) -> Tensor:
    """Turn each centre by an angle about an axis drawn from all alike."""
    axis = random.normal((*w.shape, 3), rng, like=centre)
    axis = axis / axis.norm(dim=-1, keepdim=True).clamp_min(1e-30)
    return centre @ exp(w.to(axis.dtype)[..., None] * axis)
