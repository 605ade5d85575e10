r"""DPM-Solver++(2M): a second-order step at the price of one network call, from the step before.

With :math:`\lambda = \log(\alpha / \sigma)` the flow of a Gaussian path is :math:`x_s =
\frac{\sigma_s}{\sigma_t} x_t + \sigma_s \int e^\lambda x_1(\lambda) d\lambda`: everything but the
model's x_1 is solved, and x_1 is carried on along the line through its last two values. Source: Lu
et al., arXiv 2211.01095, algorithm 2; here from any flow model, whatever it predicts.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from feller.core.generators import Flow
from feller.core.heads import Kinds
from feller.core.paths import GaussianPath
from feller.core.solvers.base import Evaluation, Solver
from feller.core.solvers.exponential import exact_clock, predict_data
from feller.core.typing import Rng, Time

__all__ = ["DPMSolverPP2M"]

LONGEST = 2.0
"""How many times as long as the one before, in log(alpha / sigma), a step of order 2 may be."""


@dataclass
class DPMSolverPP2M(Solver):
    """DPM-Solver++(2M). One network call a step, order 2.

    The first step, a step from alpha = 0 and the step into sigma = 0 are of order 1: log(alpha /
    sigma) is infinite there. The last one returns the model's x_1. So is a step that is more than
    `LONGEST` times as long as the one before, as the last of an even grid that ends a little before
    t = 1: a line so far beyond its two points tells nothing.
    """

    takes: ClassVar[Kinds] = frozenset({Flow})
    reverses: ClassVar[bool] = True
    paths: ClassVar[tuple[type, ...]] = (GaussianPath,)
    _before: tuple[Tensor, Tensor] | None = field(default=None, init=False, repr=False)

    def step(self, model: Evaluation, x: Tensor, t: Time, s: Time, rng: Rng) -> Tensor:
        """Extrapolate x_1 and solve the rest."""
        schedule = model.path.schedule
        now, then = exact_clock(t, x), exact_clock(s, x)
        alpha, sigma = schedule.alpha(now), schedule.sigma(now)
        alpha_s, sigma_s = schedule.alpha(then), schedule.sigma(then)
        level = (alpha / sigma).log()
        x_1 = predict_data(model, x, t)
        moved = x_1.clone()  # one tensor all along: a new one costs more than what is done to it
        if self._before is not None:
            level_before, x_1_before = self._before
            share = ((alpha_s / sigma_s).log() - level) / (2 * (level - level_before))
            share = torch.where(share <= LONGEST / 2, share, 0.0)  # not where it is NaN
            moved.sub_(x_1_before).mul_(share).add_(x_1)
        self._before = (level, x_1)
        scale = sigma_s / sigma
        moved.mul_(alpha_s - scale * alpha).add_(scale * x)
        # Where a clock stands still, at t = 1, the scale is 0 / 0.
        return torch.where(now == then, x, moved) if then.ndim else moved
