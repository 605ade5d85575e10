r"""The marginal jump of rotations, by a draw of the data.

The marginal jump measure is the posterior mean of the conditional ones, :math:`E_{R_1 \sim
p(.|x)}[\lambda(x | R_1) J(. | R_1)]`. A step draws one R_1 for each rotation and lets the
conditional jump given it fire, or not: on average over the draws that is the marginal jump,
whatever the posterior is. Its mean instead of a draw would bend it: three modes of
weights .5, .3, .2 come back as .48, .33, .18.

Source: Generator Matching, arXiv 2410.20587, proposition 1, for the mean.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from feller.core.generators import Destination, Generator, Jump
from feller.core.solutions import solution
from feller.core.spaces import StateSpace
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["PosteriorJump"]


@dataclass(frozen=True)
class PosteriorJump(Generator):
    """The marginal jump on a path, given the distribution of the data at each element of the state.

    Attributes:
        path: A path with a jump.
        t: The time at which the generator was taken.
        posterior: The distribution of each element of the data.
        weight: What its rate is multiplied by.
        draws: How many draws of the data, and of where they send x, `apply` averages: its value is
            an unbiased estimate.
    """

    path: Any
    t: Time
    posterior: Destination
    weight: float | Tensor = 1.0
    draws: int = 32

    def apply(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return an estimate of L f(x), from a seed of its own."""
        rng = torch.Generator(x.device).manual_seed(0)
        return torch.stack([self._estimate(f, x, rng) for _ in range(self.draws)]).mean(0)

    def _estimate(self, f: Callable[[Tensor], Tensor], x: Tensor, rng: torch.Generator) -> Tensor:
        jump, before = self.given(x, rng), f(x)
        landed = jump.destination.sample(rng)
        count = jump.intensity[0].numel()
        change = torch.zeros_like(before)
        for e in range(count):
            here = torch.arange(count, device=x.device) == e
            here = here.view(1, *jump.intensity.shape[1:])
            moved = torch.where(expand_time(here, x), landed, x)
            change = change + jump.intensity.flatten(1)[:, e] * (f(moved) - before)
        return change

    def given(self, x: Tensor, rng: Rng) -> Jump:
        """Return the conditional jump at `x` given a draw of the data."""
        elements = x.shape[: x.ndim - self.path.space.element_dim]
        z = self.posterior.expand(elements).sample(rng)
        jump: Any = solution(self.path, Jump)(self.path, x, self.t, z).scaled(self.weight)
        return jump

    def step(self, space: StateSpace, x: Tensor, h: Time, rng: Rng) -> Tensor:
        """Draw the data, then step the jump given them."""
        return self.given(x, rng).step(space, x, h, rng)

    def scaled(self, weight: float | Tensor) -> "PosteriorJump":
        """Return the generator at a multiple of its rate."""
        return replace(self, weight=weight * self.weight)

    def compare(self, task: Any) -> Tensor:
        """Return the divergence of the posterior from the data, whatever the weight."""
        return task.posterior(self.posterior)

    def average(self, weights: Tensor) -> "PosteriorJump":
        """Refuse: a posterior is the mean of posteriors, so mix those.

        Raises:
            LookupError: Always.
        """
        raise LookupError("marginal jumps are not averaged: mix their posteriors")
