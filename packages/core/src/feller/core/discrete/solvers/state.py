"""The state of a batch of chains: tokens, what of them may change, and each row's own clock."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core.discrete.kernel import TokenModel
from feller.core.typing import Ragged, Rng

__all__ = ["Chains", "begin", "condition_of_rows", "rng_of_rows"]


@dataclass(frozen=True, kw_only=True)
class Chains:
    """A batch of token chains, each row on a clock of its own.

    Elements have turns: those at the row's present turn are **open**, at the kappa of its clock;
    those of earlier turns are done and stay, at kappa 1, as does what was **given** (a prompt);
    later turns are still at their source, at kappa 0.

    Attributes:
        x: The tokens.
        turn: When each element is drawn, counted from 0; -1 is given.
        now: The present turn of each row.
        clock: kappa of what is open, float64; at 1 the turn is over.
        steps: Steps of this turn so far.
        nfe: Network calls so far.
        call: The network call, counted from 1, after which an element last changed; 0 if never.
        level: kappa at which it did.
        log_prob: With what log-probability its token was drawn.
    """

    x: Int[Tensor, "b n"]
    turn: Int[Tensor, "b n"]
    now: Int[Tensor, " b"]
    clock: Float[Tensor, " b"]
    steps: Int[Tensor, " b"]
    nfe: Int[Tensor, " b"]
    call: Int[Tensor, "b n"]
    level: Float[Tensor, "b n"]
    log_prob: Float[Tensor, "b n"]

    @property
    def open(self) -> Bool[Tensor, "b n"]:
        """What may change now."""
        return self.turn == self.now[:, None]

    @property
    def kappa(self) -> Float[Tensor, "b n"]:
        """The mixing weight of each element."""
        later = self.turn > self.now[:, None]
        return torch.where(self.open, self.clock[:, None], (~later).double())

    def rows(self, index: Int[Tensor, " r"]) -> "Chains":
        """Return some rows."""
        return Chains(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def put(self, index: Int[Tensor, " r"], part: "Chains") -> "Chains":
        """Return all rows, with those at `index` replaced."""
        if len(index) == len(self.x):
            return part
        both = ((f.name, getattr(self, f.name), getattr(part, f.name)) for f in fields(self))
        return Chains(**{name: mine.index_copy(0, index, new) for name, mine, new in both})

    def arrive(
        self, where: Bool[Tensor, "b n"], tokens: Int[Tensor, " m"], log_prob: Float[Tensor, " m"]
    ) -> "Chains":
        """Return the chains with tokens put where they arrived, at the present clock."""
        return replace(
            self,
            x=self.x.masked_scatter(where, tokens),
            call=torch.where(where, self.nfe[:, None], self.call),
            level=torch.where(where, self.clock[:, None], self.level),
            log_prob=self.log_prob.masked_scatter(where, log_prob),
        )

    def next_turn(self) -> "Chains":
        """Return the chains with the next turn begun in rows whose turn is over."""
        last = int(self.turn.max()) + 1 if self.turn.numel() else 0
        later = torch.where(self.turn > self.now[:, None], self.turn, last)
        following = later.amin(1) if self.turn.shape[1] else torch.full_like(self.now, last)
        begins = (self.clock >= 1) & (following < last)
        return replace(
            self,
            now=torch.where(begins, following, self.now),
            clock=torch.where(begins, 0.0, self.clock),
            steps=torch.where(begins, 0, self.steps),
        )


def begin(
    model: TokenModel,
    x: Int[Tensor, "b n"],
    rng: Rng = None,
    *,
    free: Bool[Tensor, "b n"] | None = None,
    block: int | None = None,
) -> Chains:
    """Return chains at kappa = 0: what is free is drawn from the source, the rest is given.

    Args:
        model: Has the path, and so the source.
        x: Tokens; only those that are given count.
        rng: Where randomness comes from.
        free: What is drawn; all when absent. The rest comes back as it is: a prompt, a suffix.
        block: Draw left to right, in blocks that start at multiples of this; all at once if None.

    Raises:
        ValueError: When a given token is none of the vocabulary's, or a block has no length.

    Example:
        >>> from feller.text.recipes import shakespeare_mask
        >>> model = shakespeare_mask().model.build()
        >>> prompt = model.codec.tokens("To be, ....")[None]
        >>> chains = begin(model, prompt, free=torch.arange(11)[None] >= 7)
        >>> chains.x[0, 6:9]
        tensor([ 1, 65, 65])
    """
    free = torch.ones_like(x, dtype=torch.bool) if free is None else free
    given, size = x[~free], model.vocabulary.size
    if given.numel() and not 0 <= int(given.min()) <= int(given.max()) < size:
        raise ValueError(
            f"given tokens are 0 ... {size - 1}, these {int(given.min())} ... {int(given.max())}"
        )
    if block is not None and block < 1:
        raise ValueError(f"a block has at least one token, not {block}")
    place = torch.arange(x.shape[1], device=x.device) // (block or max(1, x.shape[1]))
    start = model.path.sample_source(x.shape, rng, like=x)
    zero = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    level = torch.zeros(x.shape, dtype=torch.float64, device=x.device)
    chains = Chains(
        x=torch.where(free, start, x),
        turn=torch.where(free, place, -1),
        now=zero - 1,
        clock=torch.ones_like(zero, dtype=torch.float64),
        steps=zero,
        nfe=zero,
        call=torch.zeros_like(x),
        level=level,
        log_prob=level,
    )
    return chains.next_turn()


def rng_of_rows(rng: Rng, index: Int[Tensor, " r"]) -> Rng:
    """Return the rng of some rows of a batch."""
    if rng is None or isinstance(rng, torch.Generator | Ragged):
        return rng
    return [rng[i] for i in index.tolist()]


def condition_of_rows(condition: Any, index: Int[Tensor, " r"]) -> Any:
    """Return the condition of some rows: a tensor or a sequence has an entry for each row."""
    if isinstance(condition, Tensor):
        return condition[index] if condition.ndim else condition
    if isinstance(condition, Sequence) and not isinstance(condition, str):
        return [condition[i] for i in index.tolist()]
    return condition
