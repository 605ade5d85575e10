r"""Event by event: the exact chain of a mask source, one network call an event.

While m elements are masked the next reveal comes when :math:`1 - \kappa` has shrunk by the m-th
root of a uniform, and each of the m is as likely to be the one. Between events nothing changes, so
nothing is asked.

Source: Zheng et al., arXiv 2409.02908, the first-hitting sampler.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core.discrete.models import rows_of
from feller.core.discrete.solvers.base import Prediction, TokenSolver, uniforms
from feller.core.discrete.solvers.state import TokenState
from feller.core.typing import Rng

__all__ = ["FirstHitting", "check_masks", "first_in_rows"]


@dataclass
class FirstHitting(TokenSolver):
    """Reveal masks in a random order, at the times of the chain.

    Attributes:
        per_call: Tokens revealed per network call. At 1 the distribution is that of the model, with
            as many calls as tokens; above 1, tokens revealed together are drawn independently.
    """

    per_call: int = 1

    own_times: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check that a call reveals at least one token."""
        if self.per_call < 1:
            raise ValueError(f"a call reveals at least one token, not {self.per_call}")

    def move(
        self, prediction: Prediction, state: TokenState, later: Float[Tensor, " b"], rng: Rng
    ) -> TokenState:
        """Reveal the next few at the time of the last of them, unless that is past `later`."""
        check_masks(self, prediction)
        masked = prediction.undecided(state)
        count = masked.sum(1)
        due = self._due(state, count, rng)
        over = (due > later).nonzero()[:, 0]
        if len(over):
            reached = torch.where(due > later, later, state.reached)
            waits = replace(state, reached=reached, due=due)
            now = (due <= later).nonzero()[:, 0]
            part = self._reveal(prediction.rows(now), waits.rows(now), rows_of(rng, now))
            return waits.put(now, part)
        return self._reveal(prediction, replace(state, due=due), rng)

    def _reveal(self, prediction: Prediction, state: TokenState, rng: Rng) -> TokenState:
        """Reveal the next few of each row, at the time that is due."""
        masked = prediction.undecided(state)
        count = masked.sum(1)
        keys = uniforms(state.x.shape, rng, state.x)
        chosen = first_in_rows(keys, masked, count.clamp_max(self.per_call))
        ids, log_prob, asked = prediction.draw(state, chosen, rng)
        moved = replace(asked, reached=state.due).arrive(chosen, ids, log_prob)
        reached = torch.where(count > self.per_call, state.due, 1.0)
        return replace(moved, reached=reached, due=torch.zeros_like(reached))

    def _due(self, state: TokenState, count: Tensor, rng: Rng) -> Float[Tensor, " b"]:
        """Return kappa at the next reveal of each row: foreseen before, or drawn."""
        new = (state.due <= state.reached).nonzero()[:, 0]
        u = uniforms((len(new), self.per_call), rows_of(rng, new), state.reached)
        left = count[new, None] - torch.arange(self.per_call, device=count.device)
        shrinks = torch.where(left > 0, u.log() / left.clamp_min(1), 0.0).sum(1).exp()
        return state.due.index_copy(0, new, 1 - (1 - state.reached[new]) * shrinks)


def first_in_rows(
    keys: Float[Tensor, "b n"], among: Bool[Tensor, "b n"], count: Int[Tensor, " b"]
) -> Bool[Tensor, "b n"]:
    """Return which elements have the least keys of their row among some; ties go to the left.

    Example:
        >>> keys, among = torch.tensor([[0.3, 0.1, 0.2]]), torch.tensor([[True, False, True]])
        >>> first_in_rows(keys, among, torch.tensor([1]))
        tensor([[False, False,  True]])
    """
    rank = keys.masked_fill(~among, torch.inf).argsort(stable=True, dim=1).argsort(1)
    return among & (rank < count[:, None])


def check_masks(solver: TokenSolver, prediction: Prediction) -> None:
    """Reject a source that is not all mask.

    Raises:
        ValueError: When it draws tokens.
    """
    if not prediction.hides:
        source = type(prediction.model.path.source).__name__
        raise ValueError(f"{type(solver).__name__} reveals masks, but the source is {source}")
