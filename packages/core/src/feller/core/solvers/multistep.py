r"""DPM-Solver++(2M): a second-order step at the price of one network call, from the step before.

With :math:`\lambda = \log(\alpha / \sigma)` the flow of a Gaussian path is :math:`x_s =
\frac{\sigma_s}{\sigma_t} x_t + \sigma_s \int e^\lambda x_1(\lambda) d\lambda`: everything but the
model's x_1 is solved, and x_1 is carried on along the line through its last two values. Source: Lu
et al., arXiv 2211.01095, algorithm 2; here from any flow model, whatever it predicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.generators import Flow
from feller.core.heads import Kinds
from feller.core.paths import GaussianPath
from feller.core.schedules import Schedule
from feller.core.solvers.base import Evaluation, Solver
from feller.core.solvers.coefficients import Coefficients, combine
from feller.core.solvers.exponential import remix
from feller.core.solvers.runge_kutta import velocity_of
from feller.core.times import expand_time, is_shared
from feller.core.typing import Rng, Time

__all__ = ["DPMSolverPP2M"]

LONGEST = 2.0
"""How many times as long as the one before, in log(alpha / sigma), a step of order 2 may be."""


@dataclass(frozen=True)
class _Before:
    """What is kept of a step: where it began, and its estimate of x_1."""

    t: Time
    x_1: Tensor


@dataclass
class DPMSolverPP2M(Solver):
    """DPM-Solver++(2M). One network call a step, order 2.

    The first step, a step from alpha = 0 and the step into sigma = 0 are of order 1: log(alpha /
    sigma) is infinite there. The last one returns the model's x_1. So is a step that is more than
    `LONGEST` times as long as the one before, as the last of an even grid that ends a little before
    t = 1: linear extrapolation that far is useless.
    """

    takes: ClassVar[Kinds] = frozenset({Flow})
    reverses: ClassVar[bool] = True
    paths: ClassVar[tuple[type, ...]] = (GaussianPath,)
    _steps: Coefficients | None = field(default=None, init=False, repr=False, compare=False)
    _before: _Before | None = field(default=None, init=False, repr=False, compare=False)

    def begin(self, model: Evaluation, x_0: Any, times: Any, rng: Rng) -> Any:
        """Begin with `x_0`, and with the weights of every step."""
        steps = list(zip([times[0], *times], times, times[1:], strict=False))
        self._steps, self._before = _weights(model.path.schedule, steps), None
        return super().begin(model, x_0, times, rng)

    def step(self, model: Evaluation, x: Tensor, t: Time, s: Time, rng: Rng) -> Tensor:
        """Extrapolate x_1 and solve the rest."""
        steps, before = self._steps or _weights(model.path.schedule), self._before
        weights = steps.at(x, t if before is None else before.t, t, s)
        velocity = velocity_of(model(x, t))
        x_1 = combine(weights[3:], (x, velocity))
        moved = combine(weights[:3], (x, velocity, x_1 if before is None else before.x_1))
        self._before = _Before(t, x_1)
        # Where a clock stands still, at t = 1, nothing is finite.
        return moved if is_shared(s) else torch.where(expand_time(s == t, x), x, moved)


def _weights(schedule: Schedule, steps: Sequence[tuple[Time, Time, Time]] = ()) -> Coefficients:
    """Return the weights of x, the velocity and the last x_1 in the state, then those of x_1."""

    def weights(before: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, ...]:
        alpha, sigma = schedule.alpha(s), schedule.sigma(s)
        of_x, of_velocity = remix(schedule, t, alpha, sigma)
        of_data = remix(schedule, t, 1.0, 0.0)
        level_before, level, level_s = (_level(schedule, time) for time in (before, t, s))
        fraction = (level_s - level) / (2 * (level - level_before))
        bend = (alpha - sigma / schedule.sigma(t) * schedule.alpha(t)) * fraction
        # Not where there is no step before, or none to go by: it is NaN or infinite there.
        bend = torch.where((fraction >= 0) & (fraction <= LONGEST / 2), bend, 0.0)
        return of_x + bend * of_data[0], of_velocity + bend * of_data[1], -bend, *of_data

    return Coefficients(weights, steps)


def _level(schedule: Schedule, t: Tensor) -> Tensor:
    return (schedule.alpha(t) / schedule.sigma(t)).log()
