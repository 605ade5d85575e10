r"""Leaps along a grid: the two chains of the path, each element moved at most once a step.

Within a step elements do not see each other move, so the law errs by O(1 / steps); where elements
are independent, or there is one, a step of any length is exact.

Source: the forward chain, Gat et al., arXiv 2407.15595; the reverse one, Austin et al., arXiv
2107.03006 and Schiff et al., arXiv 2412.10193.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core import random
from feller.core.discrete.kernel import jump_chance
from feller.core.discrete.solvers.base import Oracle, Scheme, uniforms
from feller.core.discrete.solvers.state import Chains
from feller.core.schedules import Schedule
from feller.core.typing import Rng

__all__ = ["Ancestral", "Leap", "finish", "grid_after", "renoise"]


def grid_after(steps: int, schedule: Schedule, taken: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Return kappa after one more step of `steps` equidistant times; exactly 1 after the last.

    Example:
        >>> from feller.core.schedules import CondOT
        >>> grid_after(4, CondOT(), torch.tensor([0, 3]))
        tensor([0.2500, 1.0000], dtype=torch.float64)
    """
    share = (taken + 1).double() / steps
    return torch.where(share < 1, schedule.alpha(share.clamp_max(1)), 1.0)


@dataclass(frozen=True)
class Leap(Scheme):
    """The forward chain: each element jumps with its exact chance, to a draw of the posterior.

    With a mask source only masks jump, once. With others, what has jumped may jump again: the chain
    corrects itself, most while kappa is small.

    Attributes:
        steps: Steps.
        schedule: The clock; that of the model's path when absent. A model is asked at kappa, not at
            time, so any schedule suits.
    """

    steps: int
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        """Refuse a grid without steps."""
        _check_steps(self.steps)

    def step(self, oracle: Oracle, chains: Chains, rng: Rng) -> Chains:
        """Move, and end the turn of rows in which nothing is left to move."""
        return finish(oracle, self.move(oracle, chains, rng))

    def move(self, oracle: Oracle, chains: Chains, rng: Rng) -> Chains:
        """Let elements jump, and draw where they jumped."""
        schedule = self.schedule or oracle.model.path.schedule
        later = grid_after(self.steps, schedule, chains.steps)
        chance = jump_chance(chains.clock, later)
        u = uniforms(chains.x.shape, rng, chains.x)
        fired = oracle.undecided(chains) & (u < chance[:, None])
        ids, log_prob, asked = oracle.draw(chains, fired, rng)
        moved = replace(asked, clock=later, steps=chains.steps + 1)
        return moved.arrive(fired, ids, log_prob)


@dataclass(frozen=True)
class Ancestral(Scheme):
    r"""The reversed noising chain: an element is drawn from q(x_s | x_t, x), x from the posterior.

    With a = kappa_t / kappa_s and pi the source, an element that is not x leaves with chance
    :math:`(1 - a) / (1 - \kappa_t)`, to x with chance kappa_s, else to a draw of the source. One
    that is x leaves less often, by the factor :math:`g(z) / q(z|z)`. So who may leave is known
    before the network is asked, and thinned after. With a mask source it is the forward chain.

    Attributes:
        steps: Steps.
        schedule: The clock; that of the model's path when absent.
    """

    steps: int
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        """Refuse a grid without steps."""
        _check_steps(self.steps)

    def step(self, oracle: Oracle, chains: Chains, rng: Rng) -> Chains:
        """Move, and end the turn of rows in which nothing is left to move."""
        return finish(oracle, self.move(oracle, chains, rng))

    def move(self, oracle: Oracle, chains: Chains, rng: Rng) -> Chains:
        """Let elements leave for the data or for the source."""
        schedule = self.schedule or oracle.model.path.schedule
        later = grid_after(self.steps, schedule, chains.steps)
        chance = (1 - chains.clock / later) / (1 - chains.clock)
        leaves, routes, thins = (uniforms(chains.x.shape, rng, chains.x) for _ in range(3))
        fired = oracle.undecided(chains) & (leaves < chance[:, None])
        noisy = routes >= later[:, None]
        is_token = chains.x < oracle.model.vocabulary.sampleable
        matters = fired & (is_token | ~noisy)  # a mask is not the data, and needs no asking
        ids, log_prob, asked = oracle.draw(chains, matters, rng)
        kernel = oracle.kernel(chains.kappa)
        share = (kernel.log_noise(chains.x) - kernel.log_prob(chains.x, chains.x)).exp()
        data = chains.x.masked_scatter(matters, ids)
        leaving = fired & ((data != chains.x) | (is_token & (thins < share)) | ~matters)
        clean, noised = leaving & ~noisy, leaving & noisy
        moved = replace(asked, clock=later, steps=chains.steps + 1)
        moved = moved.arrive(clean, ids[clean[matters]], log_prob[clean[matters]])
        return renoise(oracle, moved, noised, rng)


def renoise(oracle: Oracle, chains: Chains, where: Bool[Tensor, "b n"], rng: Rng) -> Chains:
    """Draw some elements from the source."""
    count = int(where.sum())
    if not count:
        return chains
    drawn = oracle.model.path.source.sample((count,), random.ragged(rng, where), like=chains.x)
    return chains.arrive(where, drawn, oracle.log_source[drawn])


def finish(oracle: Oracle, chains: Chains) -> Chains:
    """End the turn of rows in which nothing is left to move."""
    left = oracle.undecided(chains).any(1)
    return replace(chains, clock=torch.where(left, chains.clock, 1.0))


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"a grid has at least one step, not {steps}")
