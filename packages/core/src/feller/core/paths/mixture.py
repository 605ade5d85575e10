r"""The mixture path: :math:`p_t(\cdot | z) = (1 - \kappa_t) p_0 + \kappa_t \delta_z`.

On any space, element by element: each is at its source value until it is at its data value. On
tokens this is masked and uniform discrete diffusion; on rotations or intervals it is as good a
path.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from feller.core import random
from feller.core.checks import check_times
from feller.core.config import tagged
from feller.core.generators import Generator, Jump
from feller.core.paths.base import ConditionalPath, check_parts, check_source
from feller.core.schedules import CondOT, Schedule, check_mixing
from feller.core.sources import Source
from feller.core.spaces import StateSpace
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["MixturePath"]


@tagged("mixture_path")
@dataclass(frozen=True)
class MixturePath(ConditionalPath):
    """Elements that switch from the source to the data.

    Example:
        >>> from feller.core.sources import Masked
        >>> from feller.core.spaces import Tokens
        >>> path = MixturePath(Tokens(5), Masked(4))
        >>> path.sample(torch.zeros(1, 3, dtype=torch.int64), 1.0)
        tensor([[0, 0, 0]])
    """

    space: StateSpace
    source: Source
    schedule: Schedule = field(default_factory=CondOT)
    coupled_kinds: ClassVar[tuple[type[Generator], ...]] = (Jump,)
    has_atoms: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Reject a schedule that does not start at 0, and a source outside the space."""
        check_parts(self)
        check_mixing(self.schedule)
        check_source(self.space, self.source)

    def sample(self, z: Tensor, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Tensor:
        """Take each element from z with probability kappa_t, else from x_0."""
        check_times(t)
        x_0 = self.sample_source(z.shape, rng, like=z) if x_0 is None else x_0
        elements = z.shape[: z.ndim - self.space.element_dim]
        u = random.uniform(elements, rng, like=torch.empty(0, device=z.device))
        arrived = u < self.schedule.alpha(expand_time(t, u))
        return torch.where(expand_time(arrived, z), z, x_0)

    def arrived(self, x: Tensor) -> Tensor | None:
        """Return which tokens are not the mask, where the source is the mask."""
        return self.source.excludes(x)

    def log_density(self, x: Tensor, t: Time, z: Tensor) -> Tensor:
        """Return log p_t(x | z) of each element in nats; `x` and `z` broadcast.

        Raises:
            ValueError: On a continuous space, where there is an atom and no density.
        """
        if not self.space.is_discrete:
            raise ValueError(
                "the mixture path has an atom at z: on a continuous space, no density; see log_mass"
            )
        log_source = self.source.log_density(x)
        kappa = self.schedule.alpha(expand_time(t, log_source))
        at_z = torch.where(x == z, kappa.log(), -torch.inf)
        return torch.logaddexp(torch.log1p(-kappa) + log_source, at_z)

    def log_mass(self, x: Tensor, t: Time, z: Tensor, width: float) -> Tensor:
        """Return the log-probability of the cell about `x` for an element of x_t; they broadcast.

        Where there is an atom, probabilities of cells are comparable and densities are not. On
        numbers the cell reaches half of `width` to either side, and the source is taken as even
        within it; on vectors it is as large as a cube of that width; on tokens it is the token.
        """
        if self.space.is_discrete:
            return self.log_density(x, t, z)
        log_source = self.source.log_density(x)
        if self.space.element_dim:
            away = (x - z).flatten(-self.space.element_dim)
            near, dimension = away.norm(dim=-1) <= width / 2, away.shape[-1]
        else:
            near, dimension = (x - z).abs() <= width / 2, 1
        kappa = self.schedule.alpha(expand_time(t, log_source))
        log_cell = log_source + dimension * math.log(width)
        return torch.logaddexp(
            (1 - kappa).log() + log_cell, torch.where(near, kappa.log(), -torch.inf)
        )
