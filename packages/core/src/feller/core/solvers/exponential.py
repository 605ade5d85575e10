r"""Exponential integrators: what is known of a Gaussian path is solved, only x_1 is held.

On a Gaussian path :math:`x_t = \alpha_t x_1 + \sigma_t n`, whatever the model predicts. A step
splits the state into the model's x_1 and noise n and puts them together again at the next time:
exact, however long the step, where the data are one point. DDIM (Song et al., arXiv 2010.02502,
equation 12) is this step; with **churn** a share of the noise is drawn anew, up to DDPM's ancestral
step (Ho et al., arXiv 2006.11239, equation 7).
"""

import math
from dataclasses import dataclass
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
from feller.core.solvers.runge_kutta import velocity_of
from feller.core.times import expand_time, is_shared
from feller.core.typing import Rng, Time

__all__ = ["DDIM", "exact_clock", "predict_data"]


@dataclass
class DDIM(Solver):
    """An exponential integrator: hold x_1 over the step and solve the rest.

    One network call a step, order 1. With churn 1 it is DDPM.

    Attributes:
        churn: How much noise is drawn anew, from 0 (DDIM, deterministic) to 1 (DDPM).
    """

    churn: float = 0.0
    takes: ClassVar[Kinds] = frozenset({Flow})
    paths: ClassVar[tuple[type, ...]] = (GaussianPath,)

    def __post_init__(self) -> None:
        """Refuse a churn that would need more noise than there is."""
        if not 0 <= self.churn <= 1:
            raise ValueError(f"churn lies in [0, 1], not {self.churn}")

    @property
    def takes_score(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Fresh noise supposes that the noise in x_t is Gaussian and knows nothing of the data."""
        return self.churn > 0

    @property
    def reverses(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether nothing is drawn anew."""
        return self.churn == 0

    def step(self, model: Evaluation, x: Tensor, t: Time, s: Time, rng: Rng) -> Tensor:
        """Return alpha_s x_1 + sigma_s n, some of n drawn anew."""
        schedule = model.path.schedule
        x_1 = predict_data(model, x, t)
        now, then = exact_clock(t, x), exact_clock(s, x)
        alpha, sigma = schedule.alpha(then), schedule.sigma(then)
        fresh = torch.zeros_like(sigma)
        if self.churn:
            kept = schedule.alpha(now) * sigma / (alpha * schedule.sigma(now))
            fresh = self.churn * sigma * (1 - kept**2).clamp_min(0).sqrt()
        scale = (sigma**2 - fresh**2).clamp_min(0).sqrt() / schedule.sigma(now)
        moved = x_1.mul_(alpha - scale * schedule.alpha(now)).add_(scale * x)
        if self.churn:
            moved = moved + fresh * random.normal(x.shape, rng, like=x)
        # Where a clock stands still, at t = 1, there is no noise to speak of.
        return torch.where(now == then, x, moved) if then.ndim else moved


def predict_data(model: Evaluation, x: Tensor, t: Time) -> Tensor:
    """Return the x_1 that stands for the model's velocity on its Gaussian path.

    Raises:
        ValueError: At a time when the path stands still, or leaves at infinite speed, so that the
            velocity does not tell x_1: t = 0 on `Polynomial`.
    """
    schedule, clock = model.path.schedule, exact_clock(t, x)
    alpha, sigma = schedule.alpha(clock), schedule.sigma(clock)
    alpha_dot, sigma_dot = schedule.alpha_dot(clock), schedule.sigma_dot(clock)
    wronskian = alpha_dot * sigma - alpha * sigma_dot
    _check_velocity(schedule, wronskian, t)
    return ((sigma / wronskian) * velocity_of(model(x, t))).sub_((sigma_dot / wronskian) * x)


def _check_velocity(schedule: Schedule, wronskian: Tensor, t: Any) -> None:
    """Refuse a time when the velocity is the same whatever x_1; at t = 1 nothing moves."""
    if torch.compiler.is_compiling():
        return
    if is_shared(t):  # its coefficients are at hand, on the CPU
        hidden = [] if t == 1 or 0 < float(wronskian) < math.inf else [t]
    elif readable(wronskian):
        hides = ~((wronskian > 0) & wronskian.isfinite()).view(t.shape) & (t != 1)
        hidden = t[hides].flatten()[:1].tolist()
    else:
        return
    if hidden:
        raise ValueError(
            f"on {schedule} the velocity at t = {hidden[0]:g} does not tell x_1: start the grid "
            "later"
        )


def exact_clock(t: Time, x: Tensor) -> Tensor:
    """Return a time that broadcasts against `x`, in double precision where it is one number.

    Coefficients made of it have all their digits, and leave the precision of `x` alone.
    """
    if is_shared(t):  # one number meets any device
        return torch.tensor(t, dtype=torch.float64, device="cpu")
    return expand_time(t, x)
