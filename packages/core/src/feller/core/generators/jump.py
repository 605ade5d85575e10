r"""Jump: :math:`\mathcal{L} f(x) = \sum_e \lambda_e \, E_{y \sim J_e}[f(x_{e \to y}) - f(x)]`.

Each element e of a state (a coordinate, a token, a rotation) waits for its own event and then goes
to a draw of its destination. A continuous-time Markov chain is a jump on tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from feller.core import random
from feller.core.checks import readable
from feller.core.generators.base import Generator
from feller.core.generators.destinations import Destination, Mixture
from feller.core.generators.draws import land_where
from feller.core.generators.parts import Split
from feller.core.generators.weights import fit_weight
from feller.core.spaces import StateSpace
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["Jump", "lived_of"]


@dataclass(frozen=True)
class Jump(Generator):
    """Events at an intensity, each to a sample of the destination.

    Attributes:
        intensity: Events per unit time of each element, at least 0.
        destination: The distribution that they go to.
        cumulative: The cumulative hazard of a step of h, in units of the present intensity: the
            integral of lambda_s / lambda_t over it. Given by paths that know how their intensity
            grows; h by default.
    """

    intensity: Tensor
    destination: Destination
    cumulative: Callable[[Tensor], Tensor] | None = None

    def apply(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return the expected change of `f`, by the destination's quadrature."""
        points, weights = self._landings(x)
        b, count, q = weights.shape
        elements = x.reshape(b, count, *points.shape[2:-1])
        before, intensity = f(x), self.intensity.reshape(b, count)
        change = torch.zeros_like(intensity[:, 0])
        for e in range(count):
            moved = elements.expand(q, *elements.shape).clone()
            moved[:, :, e] = points[:, e].movedim(-1, 0)
            after = f(moved.reshape(q * b, *x.shape[1:])).view(q, b)
            change = change + intensity[:, e] * (weights[:, e].T * (after - before)).sum(0)
        return change

    def _landings(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return points `(b, elements, *element, q)` and weights `(b, elements, q)` of landings."""
        points, weights = self.destination.expand(self.intensity.shape).quadrature()
        batch = self.intensity.ndim
        element = x.shape[batch:]
        weights = weights.flatten(batch, -2)[..., 0, :] if element else weights
        points = points.expand(*self.intensity.shape, *element, points.shape[-1])
        return points.reshape(len(x), -1, *points.shape[batch:]), weights.flatten(1, -2)

    def step(self, space: StateSpace, x: Tensor, h: Time, rng: Rng) -> Tensor:
        """Let events fire with probability 1 - exp(-lambda cumulative(h)); draw where they fired.

        How many fire depends on the data, so the step does not compile as one graph.
        """
        return self.fire(x, lived_of(self, h), rng)

    def fire(self, x: Tensor, lived: Tensor, rng: Rng) -> Tensor:
        """Move each element that has an event over a step of a cumulative hazard.

        Args:
            x: The states.
            lived: The integral of the intensity, one for each element (`lived_of`). Where it is
                NaN, so is the number that it moves.
            rng: Where randomness comes from.
        """
        probability = -torch.expm1(-lived)
        fired = random.uniform(probability.shape, rng, like=probability) < probability
        moved = land_where(self.destination, x, fired, rng)
        if not moved.is_floating_point():
            return moved
        return torch.where(expand_time(lived.isnan(), moved), torch.nan, moved)

    def duration(self, h: Time) -> Tensor:
        """Return the cumulative hazard of a step of `h`, in units of the present intensity."""
        h = expand_time(h, self.intensity)
        return h if self.cumulative is None else self.cumulative(h)

    def average(self, weights: Tensor) -> "Jump":
        """Return the jump of the mean measure: intensities average, destinations mix."""
        weights = expand_time(weights, self.intensity)
        joint = weights * self.intensity
        last = joint.ndim - 1
        each = self.destination.expand(joint.shape).map(lambda tensor: tensor.movedim(1, last))
        rise = self.cumulative
        mean = None if rise is None else _mean(rise, weights, self.intensity)
        return Jump(joint.sum(1), Mixture(joint.movedim(1, -1), each), mean)

    def scaled(self, weight: float | Tensor) -> "Jump":
        """Return the jump at a multiple of its intensity."""
        return replace(self, intensity=fit_weight(weight, self.intensity) * self.intensity)

    def split(self) -> Split:
        """Return the jump as the only one."""
        return Split(jumps=(self,))

    def compare(self, task: Any) -> Tensor:
        """Return the divergence of the rates into each cell, without the path's event rate."""
        return task.jumps(task.target(Jump), self)


def lived_of(jump: Jump, h: Time) -> Tensor:
    """Return the integral of the intensity over a step of `h`, one for each element.

    It is 0 where the intensity or the step is 0, even if the other is infinite, as at t = 1.

    Raises:
        ValueError: When an intensity is negative or NaN and its element moves, where looking costs
            nothing (`feller.core.checks`); elsewhere NaN stays.
    """
    rate = torch.where(expand_time(h, jump.intensity) == 0, 0.0, jump.intensity)
    if readable(rate) and not (low := float(rate.detach().min())) >= 0:
        raise ValueError(
            f"intensities are at least 0, not {low:g}: check the output of the network"
        )
    return torch.where(rate == 0, 0.0, rate * jump.duration(h))


Cumulative = Callable[[Tensor], Tensor]


def _mean(cumulative: Cumulative, weights: Tensor, rates: Tensor) -> Cumulative:
    """Return the cumulative hazard of an element that jumps at one of the rates along axis 1.

    Probabilities average, not hazards: an element that stays where it is for one of the
    data points, and leaves for sure for the others, stays with the weight of that point.
    """
    total = (weights * rates).sum(1)

    def mean(h: Tensor) -> Tensor:
        each = cumulative(h[:, None] if h.ndim else h)
        jumps = -torch.expm1(-torch.where(rates > 0, rates * each, 0.0))
        lived = -torch.log1p(-(weights * jumps).sum(1).clamp_max(1))
        return torch.where(total > 0, lived / total, h)

    return mean
