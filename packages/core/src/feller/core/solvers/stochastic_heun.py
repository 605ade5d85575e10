r"""Stochastic Heun methods, for the Ito equation :math:`dX = b\,dt + g\,dW` with diagonal noise.

Both average drift and noise over the two ends of a step, at two network calls; they differ in where
the second end is asked.

With noise that depends on the state the plain average would converge to the Stratonovich equation.
Roberts' method moves the two ends apart by a random sign S, of each coordinate its own, and so
stays with Ito: strong order 1 where the noise of a coordinate depends on that coordinate (1/2 where
it depends on others), weak order 1, and 2 where drift and noise are linear. Source: Roberts, arXiv
1210.0933, equation 2.

Additive noise, which depends on time alone, has one calculus and needs no sign; the plain average
is then of weak order 2 and strong order 1. Source: Kloeden and Platen, Numerical Solution of
Stochastic Differential Equations, section 15.1.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from feller.core import random
from feller.core.generators import Diffusion, Flow, Split
from feller.core.heads import Kinds
from feller.core.solvers.base import Evaluation, Solver
from feller.core.solvers.runge_kutta import move
from feller.core.spaces import Euclidean
from feller.core.times import expand_time, has_ended, is_shared, where_moving
from feller.core.typing import Rng, Time

__all__ = ["StochasticHeun"]


@dataclass
class StochasticHeun(Solver):
    """Heun's method with noise; two network calls a step, one for a step into a singular t = 1.

    There a score is infinite, and the step is one of Euler and Maruyama; a model that is finite
    there takes the whole step.

    Attributes:
        additive: Whether the noise depends on time alone: weak order 2, but wrong for any other.
    """

    additive: bool = False
    takes: ClassVar[Kinds] = frozenset({Flow, Diffusion})
    spaces: ClassVar[tuple[type, ...]] = (Euclidean,)

    def step(self, model: Evaluation, x: Tensor, t: Time, s: Time, rng: Rng) -> Tensor:
        """Average the two ends."""
        h, root = s - t, expand_time(s - t, x).sqrt()
        wiener = root * random.normal(x.shape, rng, like=x)
        first = model(x, t).split()
        euler = _noisy(move(x, [_drift(first)], (1.0,), h), first.covariance, wiener, h)
        if not model.finite_at_end and has_ended(s):
            return euler
        if self.additive:
            second = model(euler, s).split()
            covariance = _mean(first.covariance, second.covariance)
            moved = _noisy(_average(x, first, second, h), covariance, wiener, h)
        else:
            sign = root * (2 * random.integers(2, x.shape, rng, like=x) - 1)
            early, late = wiener - sign, wiener + sign
            start = _noisy(move(x, [_drift(first)], (1.0,), h), first.covariance, early, h)
            second = model(start, s).split()
            moved = _noisy(_average(x, first, second, h), first.covariance, early / 2, h)
            moved = _noisy(moved, second.covariance, late / 2, h)
        if model.finite_at_end or is_shared(s):
            return moved
        return torch.where(expand_time((s >= 1) & (h > 0), x), euler, moved)


def _drift(part: Split) -> Tensor:
    assert part.drift is not None
    return part.drift


def _average(x: Tensor, first: Split, second: Split, h: Time) -> Tensor:
    return move(x, [_drift(first), _drift(second)], (1 / 2, 1 / 2), h)


def _noisy(x: Tensor, covariance: Tensor | None, wiener: Tensor, h: Time) -> Tensor:
    """Return a state with noise; that of elements whose clock stands still may be infinite."""
    if covariance is None:
        return x
    return where_moving(expand_time(h, x), x, torch.addcmul(x, covariance.sqrt(), wiener))


def _mean(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else (first + second) / 2
