r"""Adaptive steps for every kind of generator: how long a step may be, said by what moves in it.

Of the drift, Euler's step and the midpoint method's are an embedded pair: the change of the drift
to the middle of the step, times h, is the error of the one, and bounds that of the other. Of the
jumps, the expected fraction of elements that have an event, :math:`1 - \exp(-\int\lambda)`, is held
below a tolerance: what moves while the rest is taken to stand still is then little. (Open question
3 of Generator Matching, arXiv 2410.20587.)

Where there is noise, or jumps, the length of a step is settled before they are drawn, from the
error of the step before: a step that were rejected for where its noise led would favour small
noise, and the distribution would be wrong. Steps of a flow alone are made again, shorter, when they
do not fit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.generators import Diffusion, Flow, Jump, Product, Split
from feller.core.generators.jump import lived_of
from feller.core.heads import Kinds
from feller.core.solvers.base import Evaluation, Solver
from feller.core.solvers.mixed import Middle, Parts, first_half, like, parts, second_half
from feller.core.spaces import Euclidean, Tokens
from feller.core.times import factor_times
from feller.core.typing import Rng

__all__ = ["Adaptive"]

Attempt = tuple[Middle, Parts, float]


@dataclass
class Adaptive(Solver):
    """The mixed method with adaptive steps: two network calls a step, one for jumps alone.

    Error and events are means over the whole batch, so rows of a batch share their steps. A step
    never leaps over a time of the grid. Control flow depends on the data, so a step does not
    compile as one graph.

    Attributes:
        rtol: Relative tolerance of Euler's local error of the drift.
        atol: Absolute tolerance of it.
        events: Largest expected fraction of elements that have an event in a step.
        longest: The longest step. A velocity that bends and returns between two calls is not seen.
        max_steps: Maximum number of steps between two times of the grid.
    """

    rtol: float = 2e-3
    atol: float = 2e-3
    events: float = 0.01
    longest: float = 0.1
    max_steps: int = 10_000
    takes: ClassVar[Kinds] = frozenset({Flow, Diffusion, Jump, Product})
    spaces: ClassVar[tuple[type, ...]] = (Euclidean, Tokens)
    shares_clock: ClassVar[bool] = True
    _h: float | None = field(default=None, init=False, repr=False)  # of the next step

    def step(self, model: Evaluation, x: Any, t: float, s: float, rng: Rng) -> Any:
        """Take steps that fit from `t` to `s`."""
        for _ in range(self.max_steps):
            first = parts(model(x, t))
            longest = min(self.longest, s - t, math.inf if self._h is None else self._h)
            h = self._few_events(first, longest)
            h = s - t if s - t - h < 1e-7 else h
            if not _drifts(first):
                steps = dict.fromkeys(first, h)
                x = like(first_half(factor_times(x, first), steps, first, rng).states)
            else:
                x, h = self._advance(model, x, (t, h), first, rng)
            if t + h >= s - 1e-9:
                return x
            t += h
        raise ValueError(
            f"no end after {self.max_steps} steps at t = {t:.6f}: increase a tolerance, or end the "
            "grid before t = 1"
        )

    def _advance(
        self, model: Evaluation, x: Any, times: tuple[float, float], first: Parts, rng: Rng
    ) -> tuple[Any, float]:
        """Return the state after a step, and how long it was: the error sets that of the next."""
        t, h = times
        calm = all(part.covariance is None and not part.jumps for part in first.values())
        if self._h is None and not calm:
            drifts = {name: Split(part.drift, None, ()) for name, part in first.items()}
            h = self._fit(model, x, (t, h), drifts)[0]
        if calm:
            h, attempt = self._fit(model, x, (t, h), first)
        else:
            attempt = self._attempt(model, x, (t, h), first, rng)
        middle, second, error = attempt
        self._h = h * min(3.0, max(0.1, 0.9 * (error + 1e-10) ** -0.5))
        half = dict.fromkeys(first, h / 2)
        return like(second_half(middle, half, (first, second), rng)), h

    def _fit(
        self, model: Evaluation, x: Any, times: tuple[float, float], drifts: Parts
    ) -> tuple[float, Attempt]:
        """Shorten a step without noise or jumps until it fits, a network call each time."""
        t, h = times
        for _ in range(60):
            attempt = self._attempt(model, x, (t, h), drifts, None)
            if attempt[2] <= 1:
                return h, attempt
            h *= max(0.1, 0.9 * attempt[2] ** -0.5)
        raise ValueError(f"the drift is not finite after t = {t:.6g}: end the grid before")

    def _attempt(
        self, model: Evaluation, x: Any, times: tuple[float, float], first: Parts, rng: Rng
    ) -> Attempt:
        """Return the middle of a step, its generator, and the error: fit is at most 1."""
        (t, h), states = times, factor_times(x, first)
        middle = first_half(states, dict.fromkeys(first, h / 2), first, rng)
        second = parts(model(like(middle.states), t + h / 2))
        return middle, second, h * self._change(states, (first, second), middle.still)

    def _change(
        self,
        states: Mapping[str, Tensor],
        ends: tuple[Parts, Parts],
        still: Mapping[str, Tensor | None],
    ) -> float:
        """Return how much the drift changed where nothing jumped, in units of the tolerance."""
        square, count = 0.0, 0
        for name, part in ends[0].items():
            drift, unmoved = ends[1][name].drift, still[name]
            if part.drift is not None and drift is not None:
                scale = self.atol + self.rtol * states[name].abs()
                change = (drift - part.drift) / scale
                change = change if unmoved is None else torch.where(unmoved, change, 0.0)
                square += float(change.square().sum())
                count += change.numel()
        size = math.sqrt(square / max(count, 1))
        return size if math.isfinite(size) else math.inf

    def _few_events(self, first: Parts, h: float) -> float:
        """Return a time up to `h`, nearly the longest, in which few elements have an event."""
        jumps = [jump for part in first.values() for jump in part.jumps]
        for _ in range(60):
            fraction = _expected_fraction(jumps, h)
            if fraction <= self.events:
                break
            h *= max(0.1, 0.9 * self.events / fraction)
        return h


def _drifts(first: Parts) -> bool:
    return any(part.drift is not None for part in first.values())


def _expected_fraction(jumps: list[Jump], h: float) -> float:
    """Return the mean over elements of the probability of an event in the time `h`."""
    probabilities = [-torch.expm1(-lived_of(jump, h)) for jump in jumps]
    total = sum(float(probability.nan_to_num(0.0).sum()) for probability in probabilities)
    return total / max(1, sum(probability.numel() for probability in probabilities))
