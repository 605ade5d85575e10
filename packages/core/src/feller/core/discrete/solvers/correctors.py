r"""Correctors: chains that may take back what they drew.

- **Gibbs**, for every source: given the others, an element of x_t is at a token of the
  leave-one-out distribution with probability kappa, else at a draw of the source. Drawing it again
  leaves the distribution of x_t alone (a stationary part, Generator Matching, arXiv 2410.20587,
  proposition 3), and brings one that has drifted back to it.
- **Remasking**, for a mask source: on the way from kappa to kappa' a token is masked again with
  probability sigma, and a mask revealed with probability :math:`(\kappa' - (1 - \sigma) \kappa) /
  (1 - \kappa)`, so that kappa' are unmasked all the same. It takes :math:`\sigma \le \min(1, (1 -
  \kappa') / \kappa)`. Source: Wang et al., arXiv 2503.00307.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.checks import check_choices
from feller.core.discrete.models import rows_of
from feller.core.discrete.solvers.base import Prediction, TokenSolver, uniforms
from feller.core.discrete.solvers.first_hitting import check_masks, first_in_rows
from feller.core.discrete.solvers.leaps import Ancestral, Leap, renoise
from feller.core.discrete.solvers.state import TokenState
from feller.core.typing import Rng

__all__ = ["PredictorCorrector", "Remasking", "gibbs"]

Strength = Literal["cap", "rescale", "confidence"]


@dataclass
class PredictorCorrector(TokenSolver):
    """A leap, then Gibbs draws at the new kappa.

    Attributes:
        predictor: The leap; its shaping is ignored.
        rounds: Gibbs rounds after each leap but the last, a network call each.
        elements: Elements of a row redrawn per round. One is exact; several are redrawn
            independently.
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

    def move(
        self, prediction: Prediction, state: TokenState, later: Float[Tensor, " b"], rng: Rng
    ) -> TokenState:
        """Leap, then correct."""
        state = self.predictor.leap(prediction, state, later, rng)
        for _ in range(self.rounds):
            state = gibbs(prediction, state, self.elements, rng)
        return state


def gibbs(prediction: Prediction, state: TokenState, elements: int, rng: Rng) -> TokenState:
    """Draw some random open elements of each row again, given the others, at the row's kappa.

    Rows that have reached 1 stay as they are.
    """
    order, routes = (uniforms(state.x.shape, rng, state.x) for _ in range(2))
    among = state.open & (state.reached < 1)[:, None]
    chosen = first_in_rows(order, among, torch.full_like(state.now, elements))
    noised = chosen & (routes >= state.reached[:, None])
    drawn = chosen & ~noised
    mask = prediction.model.vocabulary.mask
    # Behind a mask the network says the leave-one-out distribution, whatever it predicts.
    hidden = state if mask is None else replace(state, x=state.x.masked_fill(chosen, mask))
    ids, log_prob, asked = prediction.draw(hidden, drawn, rng, "leave_one_out")
    return renoise(prediction, asked.arrive(drawn, ids, log_prob), noised, rng)


@dataclass
class Remasking(TokenSolver):
    """Leaps of a mask source that mask some tokens again.

    Attributes:
        strength: How sigma is chosen: at most `eta` (`cap`), `eta` times the most there can be
            (`rescale`), or that split among a row's tokens by how improbable each was when it was
            drawn (`confidence`; the fraction unmasked is then below kappa on the way).
        eta: Strength of remasking, in [0, 1].
        pause: Hold kappa for `rounds` steps at the grid's last value not above this, and remask
            only there: a loop.
        rounds: Steps of the loop, in addition to those of the grid.
    """

    strength: Strength = "cap"
    eta: float = 0.02
    pause: float | None = None
    rounds: int = 0

    def __post_init__(self) -> None:
        """Reject a strength outside [0, 1], and half a loop."""
        check_choices(self)
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta is in [0, 1], not {self.eta}")
        if (self.pause is None) != (self.rounds < 1) or not 0 < (self.pause or 0.5) < 1:
            raise ValueError(
                f"a loop has pause in (0, 1) and rounds, not {self.pause, self.rounds}"
            )

    def move(
        self, prediction: Prediction, state: TokenState, later: Float[Tensor, " b"], rng: Rng
    ) -> TokenState:
        """Mask some tokens again, reveal some masks."""
        check_masks(self, prediction)
        if self.pause is None:
            sigma = self._sigma(prediction, state, later)
            return self._leap(prediction, state, later, sigma, rng)
        stops = ((state.reached <= self.pause) & (later > self.pause)).nonzero()[:, 0]
        for _ in range(self.rounds if len(stops) else 0):
            at, part = prediction.rows(stops), state.rows(stops)
            sigma = self._sigma(at, part, part.reached)
            part = self._leap(at, part, part.reached, sigma, rows_of(rng, stops))
            state = state.put(stops, part)
        never = torch.zeros(state.x.shape, dtype=later.dtype, device=later.device)
        return self._leap(prediction, state, later, never, rng)

    def _leap(
        self,
        prediction: Prediction,
        state: TokenState,
        later: Float[Tensor, " b"],
        sigma: Float[Tensor, "b n"],
        rng: Rng,
    ) -> TokenState:
        """Go to a mixing weight, where each element is masked again with a probability sigma."""
        kappa = state.reached[:, None]
        reveals = ((later[:, None] - (1 - sigma) * kappa) / (1 - kappa)).clamp(0, 1)
        u, masked = uniforms(state.x.shape, rng, state.x), prediction.undecided(state)
        revealed = masked & (u < reveals)
        hidden = state.open & ~masked & (u < sigma)
        ids, log_prob, asked = prediction.draw(state, revealed, rng)
        moved = replace(asked, reached=later).arrive(revealed, ids, log_prob)
        return renoise(prediction, moved, hidden, rng)

    def _sigma(
        self, prediction: Prediction, state: TokenState, later: Tensor
    ) -> Float[Tensor, "b n"]:
        """Return the probability of each element to be masked again; of a mask, what balances."""
        # At kappa = 0 nothing is there to mask, whatever the quotient is: it may be 0 / 0.
        most = ((1 - later) / state.reached).nan_to_num(0.0).clamp_max(1)
        level = most.clamp_max(self.eta) if self.strength == "cap" else self.eta * most
        if self.strength != "confidence":
            return level[:, None].expand(state.x.shape)
        tokens = state.open & ~prediction.undecided(state)
        weight = (-state.log_prob.exp()).masked_fill(~tokens, -torch.inf).softmax(1)
        return level[:, None] * weight.nan_to_num(0.0)
