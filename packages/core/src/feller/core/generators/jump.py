r"""Jump: :math:`\mathcal{L} f(x) = \sum_e \lambda_e \, E_{y \sim J_e}[f(x_{e \to y}) - f(x)]`.

Each element e of a state (a coordinate, a token, a rotation) waits for its own event and then goes
to a draw of its destination. A continuous-time Markov chain is a jump on tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from feller.core import random
from feller.core.generators.base import Generator
from feller.core.generators.destinations import Destination, Mixture
from feller.core.spaces import StateSpace
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["Jump"]


@dataclass(frozen=True)
class Jump(Generator):
    """Events at an intensity, each to a draw of a destination.

    Attributes:
        intensity: Events per unit time of each element, at least 0.
        destination: Where they go.
        clock: How much of its present intensity an element lives through in a time h: the integral
            of lambda_s / lambda_t over the step. A path that knows how its intensity grows gives
            it; h when absent.
    """

    intensity: Tensor
    destination: Destination
    clock: Callable[[Tensor], Tensor] | None = None

    def apply(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return the expected change of `f`, by the destination's quadrature."""
        points, weights = self.destination.quadrature()
        before, change = f(x), torch.zeros_like(self.intensity).flatten(1).sum(1)
        flat = x.flatten(1)
        points, weights = (p.flatten(1, -2) for p in (points, weights))
        intensity = self.intensity.flatten(1)
        for e in range(flat.shape[1]):
            for q in range(points.shape[-1]):
                moved = flat.clone()
                moved[:, e] = points[:, e, q]
                change = change + intensity[:, e] * weights[:, e, q] * (
                    f(moved.view_as(x)) - before
                )
        return change

    def step(self, space: StateSpace, x: Tensor, h: Time, rng: Rng) -> Tensor:
        """Let events fire with chance 1 - exp(-lambda clock(h)), and draw where they fired."""
        chance = -torch.expm1(-self.intensity * self.duration(h))
        fired = random.uniform(chance.shape, rng, like=chance) < chance
        moved = x.clone()
        landed = self.destination.expand(fired.shape).at(fired).sample(random.ragged(rng, fired))
        moved[fired] = landed.to(x.dtype)
        return moved

    def duration(self, h: Time) -> Tensor:
        """Return the time `h` by the clock."""
        h = expand_time(h, self.intensity)
        return h if self.clock is None else self.clock(h)

    def average(self, weights: Tensor) -> "Jump":
        """Return the jump of the mean measure: intensities average, destinations mix."""
        joint = expand_time(weights, self.intensity) * self.intensity
        last = joint.ndim - 1
        laws = self.destination.expand(joint.shape).map(lambda tensor: tensor.movedim(1, last))
        return Jump(joint.sum(1), Mixture(joint.movedim(1, -1), laws), _without_points(self.clock))


Clock = Callable[[Tensor], Tensor]


def _without_points(clock: Clock | None) -> Clock | None:
    """Return a clock that was made beside an axis of data points, for elements without it."""
    if clock is None:
        return None

    def clock_of_elements(h: Tensor) -> Tensor:
        lived = clock(h[:, None] if h.ndim else h)
        return lived.squeeze(1) if lived.ndim > 1 else lived

    return clock_of_elements
