r"""Exponential integrators: what is known of a Gaussian path is solved, only x_1 is held.

On a Gaussian path :math:`x_t = \alpha_t x_1 + \sigma_t n`, whatever the model predicts. A step
splits the state into the model's x_1 and noise n and puts them together again at the next time:
exact, however long the step, where the data are one point. DDIM (Song et al., arXiv 2010.02502,
equation 12) is this step; with **churn** a fraction of the noise is drawn again, up to DDPM's
ancestral step (Ho et al., arXiv 2006.11239, equation 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core import random
from feller.core.checks import readable
from feller.core.generators import Flow
from feller.core.heads import Kinds
from feller.core.paths import GaussianPath
from feller.core.schedules import Schedule
from feller.core.solvers.base import Evaluation, Solver
from feller.core.solvers.coefficients import Coefficients, combine
from feller.core.solvers.runge_kutta import velocity_of
from feller.core.times import expand_time, is_shared
from feller.core.typing import Rng, Time

__all__ = ["DDIM", "remix"]


@dataclass
class DDIM(Solver):
    """An exponential integrator: hold x_1 over the step and solve the rest.

    One network call a step, order 1. With churn 1 it is DDPM.

    Attributes:
        churn: Fraction of the noise drawn anew, from 0 (DDIM, deterministic) to 1 (DDPM).
    """

    churn: float = 0.0
    takes: ClassVar[Kinds] = frozenset({Flow})
    paths: ClassVar[tuple[type, ...]] = (GaussianPath,)
    _steps: Coefficients | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Reject a churn that would need more noise than there is."""
        if not 0 <= self.churn <= 1:
            raise ValueError(f"churn lies in [0, 1], not {self.churn}")

    @property
    def takes_score(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Fresh noise supposes that the noise in x_t is Gaussian and knows nothing of the data."""
        return self.churn > 0

    @property
    def reverses(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether no noise is drawn again."""
        return self.churn == 0

    def begin(self, model: Evaluation, x_0: Any, times: Any, rng: Rng) -> Any:
        """Begin with `x_0`, and with the weights of every step."""
        self._steps = self._weights(model, list(pairwise(times)))
        return super().begin(model, x_0, times, rng)

    def step(self, model: Evaluation, x: Tensor, t: Time, s: Time, rng: Rng) -> Tensor:
        """Return alpha_s x_1 + sigma_s n, some of n drawn again."""
        weights = (self._steps or self._weights(model)).at(x, t, s)
        terms = [x, velocity_of(model(x, t))]
        if self.churn:
            terms.append(random.normal(x.shape, rng, like=x))
        moved = combine(weights, terms)
        # Where a clock stands still, at t = 1, there is no noise to speak of.
        return moved if is_shared(s) else torch.where(expand_time(s == t, x), x, moved)

    def _weights(self, model: Evaluation, steps: Sequence[tuple[Time, Time]] = ()) -> Coefficients:
        """Return the weights of x, of the velocity and, with churn, of fresh noise."""
        schedule = model.path.schedule

        def weights(t: Tensor, s: Tensor) -> tuple[Tensor, ...]:
            if not self.churn:
                return remix(schedule, t, schedule.alpha(s), schedule.sigma(s))
            alpha, sigma = schedule.alpha(s), schedule.sigma(s)
            kept = schedule.alpha(t) * sigma / (alpha * schedule.sigma(t))
            fresh = self.churn * sigma * (1 - kept**2).clamp_min(0).sqrt()
            old = (sigma**2 - fresh**2).clamp_min(0).sqrt()
            return *remix(schedule, t, alpha, old), fresh

        return Coefficients(weights, steps)


def remix(
    schedule: Schedule, t: Tensor, alpha: Tensor | float, sigma: Tensor | float
) -> tuple[Tensor, Tensor]:
    r"""Return the weights of x_t and of the velocity in :math:`\alpha x_1 + \sigma n`.

    With :math:`w = \dot\alpha_t \sigma_t - \alpha_t \dot\sigma_t` the model's x_1 is
    :math:`(\sigma_t v - \dot\sigma_t x) / w`, its noise :math:`(\dot\alpha_t x - \alpha_t v) / w`.

    Raises:
        ValueError: At a time when the path stands still, or leaves at infinite speed, so that the
            velocity does not determine x_1: t = 0 on `Polynomial`.
    """
    alpha_t, sigma_t, alpha_dot, sigma_dot = schedule.coefficients(t)
    wronskian = alpha_dot * sigma_t - alpha_t * sigma_dot
    _check_velocity(schedule, wronskian, t)
    of_x = (sigma * alpha_dot - alpha * sigma_dot) / wronskian
    return of_x, (alpha * sigma_t - sigma * alpha_t) / wronskian


def _check_velocity(schedule: Schedule, wronskian: Tensor, t: Tensor) -> None:
    """Reject a time when the velocity is the same whatever x_1; at t = 1 nothing moves."""
    if not readable(wronskian):
        return
    hides = ~((wronskian > 0) & wronskian.isfinite()) & (t != 1)
    hidden = t[hides].flatten()[:1].tolist()
    if hidden:
        raise ValueError(
            f"on {schedule} the velocity at t = {hidden[0]:g} does not determine x_1: start the "
            "grid later"
        )
