r"""Predictor and corrector: a step along the path, then time spent at it to mend p.

A corrector is a generator that leaves p_s alone: followed for any time at a fixed s it takes the
state nearer to p_s, whatever the predictor did. Three kinds: a **stationary** part; a forward
generator and one that solves the KFE backward, at one weight, which undo each other; and, when
nothing is given, Langevin dynamics from the score of a flow on the Gaussian path. Source: Song et
al., arXiv 2011.13456, algorithm 1; Generator Matching, arXiv 2410.20587, proposition 3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from feller.core import random
from feller.core.generators import Flow, Generator, Jump, Product
from feller.core.generators.base import is_sum
from feller.core.generators.parts import check_parts
from feller.core.heads import Kinds
from feller.core.models import Model
from feller.core.paths import GaussianPath
from feller.core.solvers.base import Evaluation, Solver
from feller.core.solvers.coefficients import Coefficients, combine
from feller.core.solvers.euler import Euler
from feller.core.solvers.exponential import remix
from feller.core.solvers.runge_kutta import velocity_of
from feller.core.times import each_clock, expand_time, has_ended, is_shared
from feller.core.typing import Rng, Time

__all__ = ["PredictorCorrector"]


@dataclass
class PredictorCorrector(Solver):
    """A step of any solver, then corrections. NFE is that of the step and one a correction.

    There is no correction at t = 1, where nothing can move any more.

    Attributes:
        predictor: Steps along the path.
        corrector: A model whose generator leaves every p_t unchanged; Langevin dynamics if None.
        time: For how long each correction follows the corrector; of Langevin dynamics, in units of
            sigma^2: a correction forgets all but exp(-time) of the noise.
        corrections: Number of corrections per step.
    """

    predictor: Solver = field(default_factory=Euler)
    corrector: Model | None = None
    time: float = 0.05
    corrections: int = 1
    _steps: Coefficients | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def takes(self) -> Kinds:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The kinds of the predictor; Langevin dynamics want a flow."""
        return frozenset({Flow}) if self.corrector is None else self.predictor.takes

    @property
    def paths(self) -> tuple[type, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The paths of the predictor; Langevin dynamics want the Gaussian one."""
        return (GaussianPath,) if self.corrector is None else self.predictor.paths

    @property
    def spaces(self) -> tuple[type, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The spaces of the predictor."""
        return self.predictor.spaces

    @property
    def shares_clock(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the predictor has one clock for the batch."""
        return self.predictor.shares_clock

    @property
    def takes_score(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the predictor does; Langevin dynamics do."""
        return self.corrector is None or self.predictor.takes_score

    def fork(self) -> "PredictorCorrector":
        """Return a copy with a predictor of its own."""
        return replace(self, predictor=self.predictor.fork())

    def begin(self, model: Evaluation, x_0: Any, times: Any, rng: Rng) -> Any:
        """Begin as the predictor does."""
        if self.corrector is None and times is not None:
            self._steps = self._weights(model, [(time,) for time in times[1:]])
        return self.predictor.begin(model, x_0, times, rng)

    def step(self, model: Evaluation, x: Any, t: Any, s: Any, rng: Rng) -> Any:
        """Predict, then correct."""
        x, correct = self.predictor.step(model, x, t, s, rng), self._correct
        if has_ended(s):
            return x
        if self.corrector is None:
            correct = self._langevin
        for _ in range(self.corrections):
            x = correct(model, x, t, s, rng)
        return x

    def _correct(self, model: Evaluation, x: Any, t: Any, s: Any, rng: Rng) -> Any:
        """Follow the corrector, where a clock moved and is not at its end."""
        assert self.corrector is not None
        model.nfe += self.corrector.network_calls(s, model.condition)
        h = each_clock(lambda t, s: _while_moving(self.time, t, s), t, s)
        for part in _balanced(self.corrector(x, s, model.condition)):
            x = part.step(model.space, x, h, rng)
        return x

    def _langevin(self, model: Evaluation, x: Tensor, t: Any, s: Any, rng: Rng) -> Tensor:
        r"""Follow Langevin dynamics with x_1 held, which are solved: exact for one data point."""
        terms = [x, velocity_of(model(x, s)), random.normal(x.shape, rng, like=x)]
        moved = combine((self._steps or self._weights(model)).at(x, s), terms)
        if is_shared(s):
            return moved
        still = (s == t) | (s >= 1)
        return torch.where(expand_time(still, x), x, moved)

    def _weights(self, model: Evaluation, steps: Sequence[tuple[Time]] = ()) -> Coefficients:
        """Return the weights of x, of the velocity and of fresh noise in a step of Langevin's."""
        schedule, kept = model.path.schedule, math.exp(-self.time)

        def weights(t: Tensor) -> tuple[Tensor, ...]:
            of_x, of_velocity = remix(schedule, t, (1 - kept) * schedule.alpha(t), 0.0)
            return kept + of_x, of_velocity, schedule.sigma(t) * math.sqrt(1 - kept**2)

        return Coefficients(weights, steps)


def _while_moving(time: float, t: Any, s: Any) -> Time:
    if is_shared(s):
        return time if t < s < 1 else 0.0
    return torch.where((s > t) & (s < 1), time, 0.0)


def _balanced(generator: Generator) -> list[Generator]:
    """Return the parts of a corrector, which together leave p alone."""
    leaves = generator.leaves()
    if is_sum(generator):
        check_parts(leaves, due=0.0)
    return [_timeless(part.scaled()) for part in leaves]


def _timeless(generator: Generator) -> Generator:
    """Return the generator with its rates held: a corrector stays at one time."""
    factors = generator.by_factor()
    if "" not in factors:
        return Product({name: _timeless(factor) for name, factor in factors.items()})
    return replace(generator, cumulative=None) if isinstance(generator, Jump) else generator
