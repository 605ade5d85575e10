r"""The geometric-average path on tokens: :math:`p_t \propto p_0^{1 - \kappa_t} p_1^{\kappa_t}`.

The mixture path adds distributions; this one multiplies them. :math:`p_0` is uniform and
:math:`p_1` is at z but for a little noise, without which the product would be at z at once. Any two
tokens other than z are alike, so one number determines the distribution: the log-odds of z against
each of the others rise evenly from 0 with kappa. Source: Generator Matching, arXiv 2410.20587,
section 3.1. The geometric average of two normals is a Gaussian path: the schedule `Geometric`.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from feller.core import random
from feller.core.checks import check_times
from feller.core.config import tagged
from feller.core.paths.base import ConditionalPath, check_parts
from feller.core.schedules import CondOT, Schedule, check_mixing
from feller.core.sources import UniformTokens
from feller.core.spaces import Tokens
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["GeometricPath"]


@tagged("geometric_path")
@dataclass(frozen=True)
class GeometricPath(ConditionalPath):
    """Tokens whose log-odds for the data rise evenly; at t = 1 a fraction `noise` is uniform.

    Attributes:
        space: The tokens.
        noise: The fraction of p_1 that is uniform over all tokens, between 0 and 1.
        schedule: Of kappa.

    Example:
        >>> path = GeometricPath(Tokens(2), noise=0.2)
        >>> path.log_density(torch.tensor([0, 1]), 1.0, torch.tensor([0, 0])).exp()
        tensor([0.9000, 0.1000])
    """

    space: Tokens
    noise: float = 0.01
    schedule: Schedule = field(default_factory=CondOT)

    def __post_init__(self) -> None:
        """Reject a fraction outside (0, 1), one token, and a schedule that does not start at 0."""
        check_parts(self)
        if not 0 < self.noise < 1:
            raise ValueError(f"noise is between 0 and 1, both excluded, not {self.noise}")
        if self.space.size < 2:
            raise ValueError(f"a geometric average needs two tokens at least, not {self.space}")
        check_mixing(self.schedule)

    @property
    def source(self) -> UniformTokens:  # pyright: ignore[reportIncompatibleVariableOverride]
        """All tokens alike."""
        return UniformTokens(self.space.size)

    def sample(self, z: Tensor, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Tensor:
        """Take z with the probability that makes up what the uniform source lacks of p_t(z | z)."""
        check_times(t)
        x_0 = self.sample_source(z.shape, rng, like=z) if x_0 is None else x_0
        u = random.uniform(z.shape, rng, like=torch.empty(0, device=z.device))
        k = self.space.size
        at_z = torch.sigmoid(self.log_odds(expand_time(t, u)))
        return torch.where(u < (k * at_z - 1) / (k - 1), z, x_0)

    def log_density(self, x: Tensor, t: Time, z: Tensor) -> Tensor:
        """Return log p_t(x | z) of each token in nats; `x` and `z` broadcast."""
        at_z = x == z
        odds = self.log_odds(expand_time(t, torch.empty(at_z.shape, device=x.device)))
        elsewhere = torch.nn.functional.logsigmoid(-odds) - math.log(self.space.size - 1)
        return torch.where(at_z, torch.nn.functional.logsigmoid(odds), elsewhere)

    def log_odds(self, t: Tensor) -> Tensor:
        """Return log p_t(z | z) / (1 - p_t(z | z)) at time `t`."""
        return self._reach * self.schedule.alpha(t) - math.log(self.space.size - 1)

    def log_odds_dot(self, t: Tensor) -> Tensor:
        """Return the time derivative of `log_odds`."""
        return self._reach * self.schedule.alpha_dot(t)

    @property
    def _reach(self) -> float:
        """The log of p_1(z | z) over p_1 of any other token."""
        each = self.noise / self.space.size
        return math.log1p(-self.noise + each) - math.log(each)
