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
from feller.core.heads import Kinds
from feller.core.solvers.base import Evaluation, Solver
from feller.core.spaces import Euclidean, Tokens
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["Factors", "Mixed", "Parts", "by_name", "first_half", "like", "parts", "second_half"]

Parts = Mapping[str, Split]
Factors = dict[str, Any]


@dataclass
class Mixed(Solver):
    """The midpoint method with noise and jumps. Two network calls a step.

    On a product each factor moves this way. Jumps make control flow that depends on the data.
    """

    takes: ClassVar[Kinds] = frozenset({Flow, Diffusion, Jump, Product})
    reverses: ClassVar[bool] = True
    spaces: ClassVar[tuple[type, ...]] = (Euclidean, Tokens)

    def step(self, model: Evaluation, x: Any, t: Any, s: Any, rng: Rng) -> Any:
        """Take both halves."""
        first = parts(model(x, t))
        start, end = by_name(t, first), by_name(s, first)
        h = {name: (end[name] - start[name]) / 2 for name in first}
        middle, still = first_half(by_name(x, first), h, first, rng)
        clock = {name: start[name] + h[name] for name in first}
        second = parts(model(like(x, middle), clock if isinstance(t, Mapping) else _any(clock)))
        return like(x, second_half((middle, still), h, (first, second), rng))


def parts(generator: Generator) -> Parts:
    """Take a generator apart, factor by factor; outside products there is one without a name."""
    return {name: factor.split() for name, factor in generator.by_factor().items()}


def by_name(value: Any, names: Any) -> Factors:
    """Return what each factor has of a state or a time."""
    return dict(value) if isinstance(value, Mapping) else dict.fromkeys(names, value)


def like(x: Any, states: Factors) -> Any:
    """Return states as a dict where `x` is one, else that without a name."""
    return states if isinstance(x, Mapping) else states[""]


def first_half(
    states: Factors, h: Mapping[str, Time], first: Parts, rng: Rng
) -> tuple[Factors, dict[str, Tensor | None]]:
    """Take an Euler step of time `h`; also return which elements did not jump, where any could."""
    middle: Factors = {}
    still: dict[str, Tensor | None] = {}
    for name, part in first.items():
        moved = _move(states[name], part.drift, part.covariance, h[name], rng)
        middle[name] = _fire(moved, part.jumps, h[name], rng)
        still[name] = middle[name] == moved if part.jumps else None
    return middle, still


def second_half(
    middle: tuple[Factors, dict[str, Tensor | None]],
    h: Mapping[str, Time],
    ends: tuple[Parts, Parts],
    rng: Rng,
) -> Factors:
    """Take the second half, and make the first half's drift that of the middle."""
    (states, stills), (first, second) = middle, ends
    moved: Factors = {}
    for name, part in second.items():
        drift, before, still = part.drift, first[name].drift, stills[name]
        if drift is not None and before is not None:
            change = drift - before
            drift = change.add_(drift) if still is None else drift + torch.where(still, change, 0.0)
        x = _move(states[name], drift, part.covariance, h[name], rng)
        moved[name] = _fire(x, part.jumps, h[name], rng)
    return moved


def _move(x: Tensor, drift: Tensor | None, covariance: Tensor | None, h: Time, rng: Rng) -> Tensor:
    moved = x
    if drift is not None:
        moved = x + expand_time(h, x) * drift if isinstance(h, Tensor) else x.add(drift, alpha=h)
    if covariance is not None:
        scale = (expand_time(h, x) * covariance).sqrt()
        moved = moved + scale * random.normal(x.shape, rng, like=x)
    # Where a clock stands still, at t = 1, the drift may be infinite.
    return torch.where(expand_time(h, x) == 0, x, moved) if isinstance(h, Tensor) else moved


def _fire(x: Tensor, jumps: tuple[Jump, ...], h: Time, rng: Rng) -> Tensor:
    for jump in jumps:
        x = jump.fire(x, jump.intensity * jump.duration(h), rng)
    return x


def _any(clocks: Factors) -> Any:
    return next(iter(clocks.values()))
