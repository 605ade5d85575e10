r"""The mixed method: the flow to second order, noise and jumps to first, all in one step.

A generator is taken apart into drift, noise and jumps (theorem 1 of Generator Matching). A step is
two halves of Euler's, the model asked at the start and in the middle, at states that are really
reached. What did not jump in the first half then moves by the drift of the middle over the whole
step, which is the midpoint method; what did jump, over the second half. Jumps fire by the survival
over each half, by the clock of their path. No rate is asked for at t = 1, where it is infinite.

Source: Generator Matching, arXiv 2410.20587, section 7 ("mixed": a second-order flow, Euler's
jumps), there with Heun's method.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core import random
from feller.core.generators import Diffusion, Flow, Generator, Jump, Product, Split
from feller.core.generators.jump import lived_of
from feller.core.heads import Kinds
from feller.core.solvers.base import Evaluation, Solver
from feller.core.solvers.runge_kutta import MIDPOINT, RungeKutta, move
from feller.core.spaces import Euclidean, Tokens
from feller.core.times import each_clock, expand_time, factor_times, where_moving
from feller.core.typing import Rng, Time

__all__ = ["Factors", "Middle", "Mixed", "Parts", "first_half", "like", "parts", "second_half"]

Parts = Mapping[str, Split]
Factors = dict[str, Any]
_MIDPOINT = RungeKutta(MIDPOINT)


@dataclass(frozen=True)
class Middle:
    """The middle of a step.

    Attributes:
        states: The state of each factor.
        still: Which of its elements did not jump; None if none could.
    """

    states: Factors
    still: dict[str, Tensor | None]


@dataclass
class Mixed(Solver):
    """The midpoint method with noise and jumps. Two network calls a step.

    On a product each factor moves this way. With jumps, control flow depends on the data.
    """

    takes: ClassVar[Kinds] = frozenset({Flow, Diffusion, Jump, Product})
    reverses: ClassVar[bool] = True
    spaces: ClassVar[tuple[type, ...]] = (Euclidean, Tokens)

    def step(self, model: Evaluation, x: Any, t: Any, s: Any, rng: Rng) -> Any:
        """Take both halves; where nothing but flows moves, in the fewest passes."""
        if model.kinds <= {Flow}:
            return _MIDPOINT.step(model, x, t, s, rng)
        first = parts(model(x, t))
        half = each_clock(lambda t, s: (s - t) / 2, t, s)
        h = factor_times(half, first)
        middle = first_half(factor_times(x, first), h, first, rng)
        second = parts(model(like(middle.states), each_clock(lambda t, h: t + h, t, half)))
        return like(second_half(middle, h, (first, second), rng))


def parts(generator: Generator) -> Parts:
    """Take a generator apart, factor by factor; outside products there is one without a name."""
    return {name: factor.split() for name, factor in generator.by_factor().items()}


def like(states: Factors) -> Any:
    """Return the states of a product as they are; outside products, that without a name."""
    return states.get("", states)


def first_half(states: Factors, h: Mapping[str, Time], first: Parts, rng: Rng) -> Middle:
    """Take an Euler step of time `h`."""
    middle: Factors = {}
    still: dict[str, Tensor | None] = {}
    for name, part in first.items():
        drifts = [] if part.drift is None else [part.drift]
        moved = _spread(move(states[name], drifts, (1.0,), h[name]), part.covariance, h[name], rng)
        middle[name] = _fire(moved, part.jumps, h[name], rng)
        still[name] = middle[name] == moved if part.jumps else None
    return Middle(middle, still)


def second_half(
    middle: Middle, h: Mapping[str, Time], ends: tuple[Parts, Parts], rng: Rng
) -> Factors:
    """Take the second half, and make the first half's drift that of the middle."""
    first, second = ends
    moved: Factors = {}
    for name, part in second.items():
        drifts = _drifts(part.drift, first[name].drift, middle.still[name])
        x = move(middle.states[name], drifts, (2.0, -1.0), h[name])
        x = _spread(x, part.covariance, h[name], rng)
        moved[name] = _fire(x, part.jumps, h[name], rng)
    return moved


def _drifts(drift: Tensor | None, before: Tensor | None, still: Tensor | None) -> list[Tensor]:
    """Return the drifts of the middle and before; where something jumped, both are the middle's."""
    if drift is None or before is None:
        return [] if drift is None else [drift, drift]
    return [drift, before if still is None else torch.where(still, before, drift)]


def _spread(x: Tensor, covariance: Tensor | None, h: Time, rng: Rng) -> Tensor:
    if covariance is None:
        return x
    time = expand_time(h, x)
    moved = x + (time * covariance).sqrt() * random.normal(x.shape, rng, like=x)
    return where_moving(time, x, moved)


def _fire(x: Tensor, jumps: tuple[Jump, ...], h: Time, rng: Rng) -> Tensor:
    for jump in jumps:
        x = jump.fire(x, lived_of(jump, h), rng)
    return x
