r"""Reveal what is surest first: an order chosen by the model.

One token a call is exact whatever the order: each is drawn from its distribution given what is
known. Several a call do not see each other, which costs least where there is least to know.
Confident orders of an imperfect model repeat themselves
(https://github.com/kuleshov-group/mdlm/issues/35): watch the entropy of what comes out, or keep to
`FirstHitting`.

Source: confidence, Chang et al., arXiv 2202.04200; margin, Kim et al., arXiv 2502.06768; the bound
on the entropy, Ben-Hamu et al., arXiv 2505.24857.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feller.core.checks import check_choices
from feller.core.discrete.categorical import Certainty, certainty
from feller.core.discrete.solvers.base import Prediction, TokenSolver
from feller.core.discrete.solvers.first_hitting import check_masks, first_in_rows
from feller.core.discrete.solvers.state import TokenState
from feller.core.typing import Rng

__all__ = ["Adaptive"]


@dataclass
class Adaptive(TokenSolver):
    """Predict every masked token, reveal the surest, and repeat.

    Attributes:
        by: The measure of certainty: the most likely token's probability (`confidence`), its lead
            over the second (`margin`), or a small `entropy`.
        per_call: Tokens revealed per network call.
        bound: Instead reveal as many tokens, at least one, as keep the sum of their entropies,
            without the largest, at or below this, in nats: a bound on their mutual information.
    """

    by: Certainty = "confidence"
    per_call: int = 1
    bound: float | None = None

    own_times: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse to reveal none, and a bound on what is not the entropy."""
        check_choices(self)
        if self.per_call < 1:
            raise ValueError(f"a call reveals at least one token, not {self.per_call}")
        if self.bound is not None and (self.by != "entropy" or self.bound < 0):
            raise ValueError(
                f"bound is at least 0 and goes with by='entropy', not {self.bound} by {self.by!r}"
            )

    def move(
        self, prediction: Prediction, state: TokenState, later: Float[Tensor, " b"], rng: Rng
    ) -> TokenState:
        """Ask for the masks, reveal some."""
        check_masks(self, prediction)
        masked = prediction.undecided(state)
        if not masked.any():
            return replace(state, reached=torch.ones_like(state.reached))
        logits, asked = prediction.logits(state, masked)
        chosen = self._choose(certainty(logits, self.by), masked)
        ids, log_prob = prediction.draw_from(logits[chosen[masked]], state, chosen, rng)
        left = (masked & ~chosen).sum(1) / state.open.sum(1).clamp_min(1)
        reached = 1 - left.double()
        return replace(asked, reached=reached).arrive(chosen, ids, log_prob)

    def _choose(self, sure: Tensor, masked: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
        keys = torch.zeros(masked.shape, dtype=sure.dtype, device=sure.device)
        keys = keys.masked_scatter(masked, -sure)
        count = masked.sum(1).clamp_max(self.per_call)
        if self.bound is not None:
            entropies = keys.masked_fill(~masked, torch.inf).sort(1).values
            before = entropies.cumsum(1) - entropies
            count = (before.nan_to_num(torch.inf) <= self.bound + 1e-6).sum(1)
        return first_in_rows(keys, masked, count)
