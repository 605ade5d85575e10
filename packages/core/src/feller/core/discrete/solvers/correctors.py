r"""Correctors: chains that may take back what they drew.

- **Gibbs**, for every source: given the others, an element of x_t is at a token of the
  leave-one-out law with chance kappa, else at a draw of the source. Drawing it anew leaves the law
  of x_t alone (a stationary part, Generator Matching, arXiv 2410.20587, proposition 3), and brings
  one that has drifted back to it.
- **Remasking**, for a mask source: on the way from kappa to kappa' a token is masked again with
  chance sigma, and a mask revealed with chance :math:`(\kappa' - (1 - \sigma) \kappa) / (1 -
  \kappa)`, so that kappa' are unmasked all the same. It takes :math:`\sigma \le \min(1, (1 -
  \kappa') / \kappa)`. Source: Wang et al., arXiv 2503.00307.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.checks import check_choices
from feller.core.discrete.solvers.base import Oracle, Scheme, uniforms
from feller.core.discrete.solvers.first_hitting import check_masks, first_in_rows
from feller.core.discrete.solvers.leaps import Ancestral, Leap, grid_after, renoise
from feller.core.discrete.solvers.state import Chains
from feller.core.schedules import Schedule
from feller.core.typing import Rng

__all__ = ["PredictorCorrector", "Remasking", "gibbs"]

Strength = Literal["cap", "rescale", "confidence"]


@dataclass(frozen=True)
class PredictorCorrector(Scheme):
    """A leap, then Gibbs draws at the new kappa.

    Attributes:
        predictor: The leap.
        rounds: Gibbs rounds after each leap but the last, a network call each.
        elements: Elements of a row drawn anew in a round. One is exact; more do not see each other.
    """

    predictor: Leap | Ancestral
    rounds: int = 1
    elements: int = 1

    def __post_init__(self) -> None:
        """Refuse to correct nothing."""
        if self.rounds < 1 or self.elements < 1:
            raise ValueError(
                f"rounds and elements are at least 1, not {self.rounds, self.elements}"
            )

    def step(self, oracle: Oracle, chains: Chains, rng: Rng) -> Chains:
        """Leap, then correct."""
        chains = self.predictor.move(oracle, chains, rng)
        for _ in range(self.rounds):
            chains = gibbs(oracle, chains, self.elements, rng)
        return chains


def gibbs(oracle: Oracle, chains: Chains, elements: int, rng: Rng) -> Chains:
    """Draw some random open elements of each row anew, given the others, at the row's kappa.

    Rows whose clock is at 1 stay as they are.
    """
    order, routes = (uniforms(chains.x.shape, rng, chains.x) for _ in range(2))
    among = chains.open & (chains.clock < 1)[:, None]
    chosen = first_in_rows(order, among, torch.full_like(chains.steps, elements))
    noised = chosen & (routes >= chains.clock[:, None])
    drawn = chosen & ~noised
    mask = oracle.model.vocabulary.mask
    # Behind a mask the network says the leave-one-out law, whatever it predicts.
    hidden = chains if mask is None else replace(chains, x=chains.x.masked_fill(chosen, mask))
    ids, log_prob, asked = oracle.draw(hidden, drawn, rng, "leave_one_out")
    return renoise(oracle, asked.arrive(drawn, ids, log_prob), noised, rng)


@dataclass(frozen=True)
class Remasking(Scheme):
    """Leaps of a mask source that mask some tokens again.

    Attributes:
        steps: Steps.
        strength: How sigma is chosen: at most `eta` (`cap`), `eta` times the most there can be
            (`rescale`), or that shared out among a row's tokens by how improbable each was when it
            was drawn (`confidence`; the share unmasked is then below kappa on the way).
        eta: A number in [0, 1].
        pause: Stand still for `rounds` steps at the grid's last kappa that is not above this, and
            remask there only: a loop.
        rounds: The steps of the loop; they add to `steps`.
        schedule: The clock; that of the model's path when absent.
    """

    steps: int
    strength: Strength = "cap"
    eta: float = 0.02
    pause: float | None = None
    rounds: int = 0
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        """Refuse a grid without steps, a strength that is no share, and half a loop."""
        check_choices(self)
        if self.steps < 1:
            raise ValueError(f"a grid has at least one step, not {self.steps}")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta is in [0, 1], not {self.eta}")
        if (self.pause is None) != (self.rounds < 1) or not 0 < (self.pause or 0.5) < 1:
            raise ValueError(
                f"a loop has pause in (0, 1) and rounds, not {self.pause, self.rounds}"
            )

    def step(self, oracle: Oracle, chains: Chains, rng: Rng) -> Chains:
        """Mask some tokens again, reveal some masks."""
        check_masks(self, oracle)
        later = self._later(oracle, chains)
        sigma = self._sigma(oracle, chains, later)
        kappa = chains.clock[:, None]
        reveals = ((later[:, None] - (1 - sigma) * kappa) / (1 - kappa)).clamp(0, 1)
        u, masked = uniforms(chains.x.shape, rng, chains.x), oracle.undecided(chains)
        revealed = masked & (u < reveals)
        hidden = chains.open & ~masked & (u < sigma)
        ids, log_prob, asked = oracle.draw(chains, revealed, rng)
        moved = replace(asked, clock=later, steps=chains.steps + 1)
        return renoise(oracle, moved.arrive(revealed, ids, log_prob), hidden, rng)

    def _pauses(self, chains: Chains, oracle: Oracle) -> tuple[Tensor, Tensor]:
        """Return whether a row is in its loop, and its place on the grid without the loop."""
        if self.pause is None:
            return torch.zeros_like(chains.steps, dtype=torch.bool), chains.steps
        grid = self._grid(oracle, torch.arange(self.steps, device=chains.x.device))
        before = int((grid <= self.pause).sum())
        inside = (chains.steps >= before) & (chains.steps < before + self.rounds)
        return inside, torch.where(chains.steps < before, chains.steps, chains.steps - self.rounds)

    def _later(self, oracle: Oracle, chains: Chains) -> Float[Tensor, " b"]:
        inside, place = self._pauses(chains, oracle)
        return torch.where(inside, chains.clock, self._grid(oracle, place.clamp_min(0)))

    def _sigma(self, oracle: Oracle, chains: Chains, later: Tensor) -> Float[Tensor, "b n"]:
        """Return the chance of each element to be masked again; of a mask, what balances it."""
        # At kappa = 0 nothing is there to mask, whatever the quotient is: it may be 0 / 0.
        most = ((1 - later) / chains.clock).nan_to_num(0.0).clamp_max(1)
        level = most.clamp_max(self.eta) if self.strength == "cap" else self.eta * most
        if self.pause is not None:
            level = torch.where(self._pauses(chains, oracle)[0], level, 0.0)
        if self.strength != "confidence":
            return level[:, None].expand(chains.x.shape)
        tokens = chains.open & ~oracle.undecided(chains)
        share = (-chains.log_prob.exp()).masked_fill(~tokens, -torch.inf).softmax(1)
        return level[:, None] * share.nan_to_num(0.0)

    def _grid(self, oracle: Oracle, taken: Tensor) -> Float[Tensor, " b"]:
        return grid_after(self.steps, self.schedule or oracle.model.path.schedule, taken)
