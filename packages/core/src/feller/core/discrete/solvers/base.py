"""Simulating token chains: one loop, and schemes that say what a step is.

A step first decides which elements jump, from the clock alone; only those are asked of the network,
and only their tokens are drawn. So no table of rates, nor of all logits, is ever made, and a row in
which nothing jumps costs nothing. Rows are asked together and otherwise know nothing of each other:
each has its clock and its rng, and leaves the batch when it is done.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core import random
from feller.core.discrete.categorical import Shaping, draw_tokens
from feller.core.discrete.kernel import (
    Kernel,
    TokenModel,
    check_condition,
    log_source,
    network_calls,
)
from feller.core.discrete.parametrizations import TokenParametrization
from feller.core.discrete.solvers.state import Chains, begin, condition_of_rows, rng_of_rows
from feller.core.typing import Rng

__all__ = ["Oracle", "Scheme", "follow_tokens", "simulate_tokens", "uniforms"]


@dataclass(frozen=True)
class Oracle:
    """A model bound to its condition and to how its laws are shaped.

    Attributes:
        model: The model.
        log_source: log pi of every id.
        condition: An entry for each row, or one for all.
        shaping: How a law is changed before a draw.
        hides: Whether the source is all mask, so that whatever is no mask is data.
    """

    model: TokenModel
    log_source: Float[Tensor, " k"]
    condition: Any
    shaping: Shaping
    hides: bool

    def kernel(self, kappa: Float[Tensor, "*batch"]) -> Kernel:
        """Return the law of tokens at some mixing weights."""
        return Kernel(kappa, self.log_source)

    def undecided(self, chains: Chains) -> Bool[Tensor, "b n"]:
        """Say which open elements may still be noise."""
        return chains.open & (self.log_source[chains.x] > -torch.inf)

    def logits(
        self, chains: Chains, where: Bool[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "m v"], Chains]:
        """Ask the network for some elements; rows without any are not asked.

        Returns:
            Its logits of those elements, row by row, and the chains with the calls counted.
        """
        asked = where.any(1).nonzero()[:, 0]
        x, kappa = chains.x[asked], chains.kappa[asked]
        if self.hides:  # what is known shows by itself, and the law depends on nothing else
            kappa = (x != self.model.vocabulary.mask).double().mean(1)
        condition = condition_of_rows(self.condition, asked)
        logits = self.model.logits(x, kappa, condition, where=where[asked])
        if without := self.shaping.without:
            places = torch.tensor(without, device=logits.device)
            logits = logits.index_fill(-1, places, -torch.inf)
        cost = torch.full_like(asked, network_calls(self.model, condition))
        return logits, replace(chains, nfe=chains.nfe.index_add(0, asked, cost))

    def draw(
        self,
        chains: Chains,
        where: Bool[Tensor, "b n"],
        rng: Rng,
        law: TokenParametrization = "posterior",
    ) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"], Chains]:
        """Draw tokens for some elements from what the network says of them.

        Returns:
            The tokens and their log-probabilities, row by row, and the chains with the calls
            counted.
        """
        if not where.any():
            return chains.x.new_zeros(0), chains.level.new_zeros(0), chains
        logits, asked = self.logits(chains, where)
        return *self.draw_from(logits, chains, where, rng, law), asked

    def draw_from(
        self,
        logits: Float[Tensor, "m v"],
        chains: Chains,
        where: Bool[Tensor, "b n"],
        rng: Rng,
        law: TokenParametrization = "posterior",
    ) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"]]:
        """Draw tokens from the network's logits of the elements in `where`."""
        u = uniforms((len(logits),), random.ragged(rng, where), logits)
        bonus = self.evidence(chains, where, law)
        ids, log_prob = draw_tokens(logits, u, self.shaping, bonus=bonus)
        return ids, log_prob.double()

    def evidence(
        self, chains: Chains, where: Tensor, law: TokenParametrization
    ) -> tuple[Tensor, Tensor] | None:
        """Return what turns the law of the network into the one asked for."""
        if self.model.parametrization == law or self.hides:
            return None
        z, kernel = chains.x[where], self.kernel(chains.kappa[where])
        known = (z < self.model.vocabulary.sampleable) & ~kernel.decided(z)
        sign = 1.0 if law == "posterior" else -1.0
        evidence = torch.where(known, sign * kernel.evidence(z), 0.0)
        return torch.where(known, z, 0), evidence


class Scheme(ABC):
    """A rule for one step of a batch of chains.

    A scheme keeps nothing: all that a step needs is in the chains.
    """

    @abstractmethod
    def step(self, oracle: Oracle, chains: Chains, rng: Rng) -> Chains:
        """Return the chains after a step; every clock is below 1 before it.

        A row whose clock is at 1 after it is done with its turn.

        Raises:
            ValueError: When the model's source does not suit the scheme.
        """


def simulate_tokens(
    model: TokenModel,
    scheme: Scheme,
    chains: Chains | Int[Tensor, "b n"],
    rng: Rng = None,
    *,
    condition: Any = None,
    shaping: Shaping | None = None,
) -> Chains:
    """Simulate chains until every element has had its turn.

    Args:
        model: Says what the data may be.
        scheme: The step.
        chains: What `begin` returns; of tokens only the shape counts, and all are drawn.
        rng: Where randomness comes from; with one generator a row, a row is the same in any batch.
        condition: An entry for each row, or one for all.
        shaping: Temperature, top-k, top-p; none when absent.

    Returns:
        The chains at their end: tokens, network calls, and when each token came.

    Example:
        >>> from feller.text.recipes import shakespeare_mask
        >>> from feller.core.discrete.solvers import Leap
        >>> model = shakespeare_mask().model.build().eval()
        >>> chains = simulate_tokens(model, Leap(4), torch.zeros(2, 8, dtype=torch.int64))
        >>> chains.x.shape, int(chains.nfe.max()) <= 4
        (torch.Size([2, 8]), True)
    """
    *_, last = follow_tokens(model, scheme, chains, rng, condition=condition, shaping=shaping)
    return last


@torch.no_grad()
def follow_tokens(
    model: TokenModel,
    scheme: Scheme,
    chains: Chains | Int[Tensor, "b n"],
    rng: Rng = None,
    *,
    condition: Any = None,
    shaping: Shaping | None = None,
) -> Iterator[Chains]:
    """Yield the chains at their start and after each step: the loop behind `simulate_tokens`."""
    check_condition(model, condition)
    chains = chains if isinstance(chains, Chains) else begin(model, chains, rng)
    pi = log_source(model.path.source, model.vocabulary.size).to(chains.x.device)
    hides = not bool(pi[: model.vocabulary.sampleable].isfinite().any())
    whole = Oracle(model, pi, condition, shaping or Shaping(), hides)
    yield chains
    while len(running := (chains.clock < 1).nonzero()[:, 0]):
        oracle = replace(whole, condition=condition_of_rows(condition, running))
        part = scheme.step(oracle, chains.rows(running), rng_of_rows(rng, running))
        chains = chains.put(running, part.next_turn())
        yield chains


def uniforms(shape: tuple[int, ...], rng: Rng, like: Tensor) -> Tensor:
    """Draw float64 uniforms on the device of `like`."""
    return random.uniform(shape, rng, like=torch.empty(0, dtype=torch.float64, device=like.device))
