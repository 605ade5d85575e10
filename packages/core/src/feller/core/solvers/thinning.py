r"""Thinning: the exact distribution of a jump process whose intensities depend on time and state.

Candidates come at a rate that no intensity exceeds; one that comes to an element at time u is an
event with probability intensity over rate, and is nothing else. The model is asked at each
candidate, so events follow each other one by one, each at the state that the last one left. Source:
Lewis and Shedler, Simulation of nonhomogeneous Poisson processes by thinning, 1979; Ogata, 1981.

Time within a step is its **fraction**, from 0 at t to 1 at s: elements on clocks of their own share
it, and those whose clock stands still have no events.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feller.core import random
from feller.core.generators import Jump
from feller.core.generators.draws import land_where
from feller.core.heads import Kinds
from feller.core.solvers.base import Evaluation, Solver
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["Candidates", "Step", "Thinning", "follow_candidates"]

Fractions = Float[Tensor, " b"]


@dataclass(frozen=True)
class Step:
    """A step from t to s, in double precision, beside the elements of a batch.

    Attributes:
        t: Where it begins, with the leading axes of the elements.
        h: How long it is.
        elements: The shape of the elements, batch first.
    """

    t: Tensor
    h: Tensor
    elements: torch.Size

    def clock(self, fraction: Fractions) -> Tensor:
        """Return the times at a fraction of the step: `(b,)`, or of each element.

        Moving clocks stay below 1, where intensities are infinite.
        """
        time = (self.t + expand_time(fraction, self.t) * self.h).float()
        time = torch.where(self.h > 0, time.clamp_max(1 - 2.0**-24), time)
        return self._like_given(time)

    def end(self) -> Tensor:
        """Return the times at which the step ends, 1 where it ends there."""
        return self._like_given((self.t + self.h).float())

    def _like_given(self, time: Tensor) -> Tensor:
        return time.flatten() if time.numel() == len(time) else time


class Candidates(ABC):
    """When candidates come, and at which rate."""

    @abstractmethod
    def next(self, fraction: Fractions, u: Tensor) -> Tensor:
        """Return the fraction at which the next candidate comes to each element, from uniforms.

        What lies beyond the step is at least 1.
        """

    @abstractmethod
    def rate(self, clock: Tensor) -> Tensor:
        """Return the rate of candidates of each element at a clock, per unit time."""


def follow_candidates(
    model: Evaluation,
    x: Tensor,
    step: Step,
    propose: Callable[[Tensor, Fractions, Bool[Tensor, " b"]], Candidates],
    most: int,
    rng: Rng,
) -> Tensor:
    """Take candidates one by one to the end of the step, each row at its own pace.

    Args:
        model: The model.
        x: The states.
        step: The step.
        propose: Called with states, fractions and the rows that changed; returns the candidates.
        most: The most candidates a row may have.
        rng: Where randomness comes from.

    Raises:
        ValueError: When there are more candidates, or an intensity exceeds the rate.
    """
    fraction = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    candidates = propose(x, fraction, torch.ones_like(fraction, dtype=torch.bool))
    for _ in range(most):
        u = _uniforms(step.elements, fraction < 1, rng)
        fraction, element = _by_row(candidates.next(fraction, u)).min(1)
        active = fraction < 1
        if not active.any():
            return x
        clock = step.clock(fraction.clamp_max(1))
        jumps = model(x, clock).split().jumps
        probability = _probabilities(jumps, candidates.rate(clock), active, element)
        happens = _uniforms(active.shape, active, rng) < probability.sum(1)
        x = _land(jumps, x, (probability, happens, element), rng)
        if happens.any():
            candidates = propose(x, fraction, happens)
    raise ValueError(f"more than {most} candidates in a step: take shorter steps, or end before 1")


def _uniforms(shape: torch.Size, active: Tensor, rng: Rng) -> Tensor:
    """Draw for the rows that are still on their way, and only from their generators."""
    where = expand_time(active, torch.empty(shape, device=active.device)).expand(shape)
    u = torch.ones(shape, dtype=torch.float64, device=active.device)
    drawn = random.uniform(
        (int(where.sum()),), random.ragged(rng, where.reshape(len(u), -1)), like=u
    )
    return u.masked_scatter(where, drawn)


def _probabilities(
    jumps: tuple[Jump, ...], rate: Tensor, active: Tensor, element: Tensor
) -> Float[Tensor, "b jumps"]:
    """Return the probability of each jump at the candidate's element; 0 in idle rows."""
    at = element[:, None]
    bound = _by_row(rate).gather(1, at)
    rates = (_by_row(jump.intensity.expand(rate.shape)).gather(1, at) for jump in jumps)
    each = [each / bound for each in rates]
    probability = torch.where(active[:, None], torch.cat(each, 1).double(), 0.0)
    worst = float(probability.sum(1).max())
    if not worst <= 1 + 1e-4:
        raise ValueError(
            f"an intensity is {worst:.4g} times its bound: take shorter steps or a larger bound"
        )
    return probability


def _by_row(each: Tensor) -> Tensor:
    """Return a number of each element as `(b, elements)`, one element a row where it is a batch."""
    return each[:, None].flatten(1)


def _land(
    jumps: tuple[Jump, ...], x: Tensor, event: tuple[Tensor, Tensor, Tensor], rng: Rng
) -> Tensor:
    """Move the chosen element of each row where something happens, by one of the jumps."""
    probability, happens, element = event
    if len(jumps) > 1:
        u = _uniforms(happens.shape, happens, rng) * probability.sum(1)
        which = torch.searchsorted(probability.cumsum(1), u[:, None], right=True).squeeze(1)
        which = which.clamp_max(len(jumps) - 1)
    else:
        which = torch.zeros_like(element)
    for i, jump in enumerate(jumps):
        chosen = torch.zeros(jump.intensity.shape, dtype=torch.bool, device=x.device)
        here = (happens & (which == i))[:, None]
        chosen.view(len(x), -1).scatter_(1, element[:, None], here)
        x = land_where(jump.destination, x, chosen, rng)
    return x


@dataclass(frozen=True)
class _Constant(Candidates):
    """Candidates at rates that hold over the step."""

    step: Step
    rates: Tensor

    def next(self, fraction: Fractions, u: Tensor) -> Tensor:
        rate = torch.where(self.step.h > 0, self.rates * self.step.h, 0.0)
        wait = -torch.log1p(-u) / rate
        return torch.where(rate > 0, expand_time(fraction, u) + wait, torch.inf)

    def rate(self, clock: Tensor) -> Tensor:
        return self.rates


@dataclass
class Thinning(Solver):
    """Candidates at a constant rate between events: exact if the rate is a bound.

    A network call for each candidate of the row that has most, and without a `bound` two more after
    each event. An intensity above its bound at a candidate raises an error instead of causing a
    bias; one that exceeds it only between candidates is not seen. So without a `bound` an intensity
    that is 0 at both ends of a step, and positive between, has no events: give a bound, or more
    steps. Has data-dependent control flow, so it does not compile as one graph.

    Attributes:
        bound: A function (x, t, s) -> rates of each element that no intensity exceeds from t to s
            while the state is `x`. If None, `margin` times the larger of the intensities at the
            two ends, which is a bound where they are monotone in time.
        margin: See `bound`.
        most: Maximum number of candidates of a row in a step.
    """

    bound: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    margin: float = 1.5
    most: int = 10_000
    takes: ClassVar[Kinds] = frozenset({Jump})

    def step(self, model: Evaluation, x: Tensor, t: Time, s: Time, rng: Rng) -> Tensor:
        """Follow the candidates from `t` to `s`."""
        step = step_of(model, x, t, s)
        rates = torch.zeros(step.elements, dtype=torch.float64, device=x.device)

        def propose(x: Tensor, fraction: Fractions, changed: Tensor) -> Candidates:
            nonlocal rates
            new = self._rates(model, x, step, fraction).expand(step.elements).double()
            moving = (step.h > 0).expand(step.elements)
            if not new[moving].isfinite().all():
                raise ValueError(
                    "an intensity is infinite by the end of the step: end before t = 1"
                )
            rates = torch.where(expand_time(changed, new), new, rates)
            return _Constant(step, rates)

        return follow_candidates(model, x, step, propose, self.most, rng)

    def _rates(self, model: Evaluation, x: Tensor, step: Step, fraction: Fractions) -> Tensor:
        now, then = step.clock(fraction.clamp_max(1)), step.end()
        if self.bound is not None:
            return self.bound(x, now, then)
        both = (model(x, t).split().jumps for t in (now, then))
        ends = [torch.stack([jump.intensity for jump in jumps]).sum(0) for jumps in both]
        return self.margin * torch.maximum(*ends)


def step_of(model: Evaluation, x: Tensor, t: Any, s: Any) -> Step:
    """Return the step between two times as fractions of it."""
    elements = x.shape[: x.ndim - model.space.element_dim]
    like = torch.empty(elements, dtype=torch.float64, device=x.device)
    times = [torch.as_tensor(time, dtype=torch.float64, device=x.device) for time in (t, s)]
    t, s = (expand_time(time if time.ndim else time.expand(len(x)), like) for time in times)
    return Step(t, s - t, elements)
