"""The state of a batch of chains: tokens, what of them may change, and how far each row is."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core.typing import Rng

__all__ = ["TokenState", "state_at", "token_state"]


@dataclass(frozen=True, kw_only=True)
class TokenState:
    """A batch of token chains, each row at a mixing weight of its own.

    Elements have turns: those at the row's present turn are **open**, at the kappa that it has
    reached; those of earlier turns are done and stay, at kappa 1, as do **given** ones (a prompt);
    later turns are still at their source, at kappa 0.

    Attributes:
        x: The tokens.
        turn: When each element is drawn, counted from 0; -1 is given.
        now: The present turn of each row.
        reached: kappa of the open elements, float64; at 1 the turn is over.
        due: kappa at the next event of a row, if already drawn; else 0.
        nfe: Network calls so far.
        call: The network call, counted from 1, after which an element last changed; 0 if never.
        level: kappa at which it last changed.
        log_prob: The log-probability with which its token was drawn.
        event: The shape of a state, `(n,)` for a sequence.
    """

    x: Int[Tensor, "b n"]
    turn: Int[Tensor, "b n"]
    now: Int[Tensor, " b"]
    reached: Float[Tensor, " b"]
    due: Float[Tensor, " b"]
    nfe: Int[Tensor, " b"]
    call: Int[Tensor, "b n"]
    level: Float[Tensor, "b n"]
    log_prob: Float[Tensor, "b n"]
    event: tuple[int, ...]

    @property
    def tokens(self) -> Int[Tensor, "b *event"]:
        """The states in the shape that they came in."""
        return self.x.view(len(self.x), *self.event)

    @property
    def open(self) -> Bool[Tensor, "b n"]:
        """What may change now."""
        return self.turn == self.now[:, None]

    @property
    def kappa(self) -> Float[Tensor, "b n"]:
        """The mixing weight of each element."""
        later = self.turn > self.now[:, None]
        return torch.where(self.open, self.reached[:, None], (~later).double())

    def rows(self, index: Int[Tensor, " r"]) -> "TokenState":
        """Return some rows."""
        return replace(self, **{name: getattr(self, name)[index] for name in _TENSORS})

    @staticmethod
    def joined(parts: "Sequence[TokenState]") -> "TokenState":
        """Return several batches as one."""
        joined = {name: torch.cat([getattr(p, name) for p in parts]) for name in _TENSORS}
        return replace(parts[0], **joined)

    def put(self, index: Int[Tensor, " r"], part: "TokenState") -> "TokenState":
        """Return all rows, with those at `index` replaced."""
        if len(index) == len(self.x):
            return part
        both = ((name, getattr(self, name), getattr(part, name)) for name in _TENSORS)
        return replace(self, **{name: mine.index_copy(0, index, new) for name, mine, new in both})

    def arrive(
        self, where: Bool[Tensor, "b n"], tokens: Int[Tensor, " m"], log_prob: Float[Tensor, " m"]
    ) -> "TokenState":
        """Return the state with tokens put where they arrived; those that change do so now."""
        x = self.x.masked_scatter(where, tokens)
        changed = x != self.x
        return replace(
            self,
            x=x,
            call=torch.where(changed, self.nfe[:, None], self.call),
            level=torch.where(changed, self.reached[:, None], self.level),
            log_prob=self.log_prob.masked_scatter(where, log_prob),
        )

    def next_turn(self) -> "TokenState":
        """Return the chains with the next turn begun in rows whose turn is over."""
        last = int(self.turn.max()) + 1 if self.turn.numel() else 0
        later = torch.where(self.turn > self.now[:, None], self.turn, last)
        following = later.amin(1) if self.turn.shape[1] else torch.full_like(self.now, last)
        begins = (self.reached >= 1) & (following < last)
        return replace(
            self,
            now=torch.where(begins, following, self.now),
            reached=torch.where(begins, 0.0, self.reached),
            due=torch.where(begins, 0.0, self.due),
        )


_TENSORS = tuple(f.name for f in fields(TokenState) if f.name != "event")


def token_state(
    model: Any,
    x: Int[Tensor, "b *event"],
    rng: Rng = None,
    *,
    free: Bool[Tensor, "b *event"] | None = None,
    block: int | None = None,
) -> TokenState:
    """Return chains at kappa = 0: what is free is drawn from the source, the rest is given.

    Args:
        model: Has the path, a `MixturePath` over `Tokens`, and so the source.
        x: Tokens; only those that are given count.
        rng: Where randomness comes from.
        free: What is drawn; all if None. The rest comes back as it is: a prompt, a suffix.
        block: Draw left to right, in blocks that start at multiples of this; all at once if None.

    Raises:
        ValueError: When a given token is none that is drawn, such as a mask, or a block has no
            length.

    Example:
        >>> from feller.text.recipes import shakespeare_mask
        >>> model = shakespeare_mask().model.build()
        >>> prompt = model.codec.tokens("To be, ....")[None]
        >>> state = token_state(model, prompt, free=torch.arange(11)[None] >= 7)
        >>> state.x[0, 6:9]
        tensor([ 1, 65, 65])
    """
    free = torch.ones_like(x, dtype=torch.bool) if free is None else free
    ids = getattr(model, "vocabulary", None)
    given, size = x[~free], model.path.space.size if ids is None else ids.sampleable
    if given.numel() and not 0 <= int(given.min()) <= int(given.max()) < size:
        raise ValueError(
            f"given tokens are 0 ... {size - 1}, these {int(given.min())} ... {int(given.max())}"
        )
    if block is not None and block < 1:
        raise ValueError(f"a block has at least one token, not {block}")
    start = torch.where(free, model.path.sample_source(x.shape, rng, like=x), x)
    state = state_at(start, torch.ones(len(x), dtype=torch.float64, device=x.device))
    n = state.x.shape[1]
    turn = torch.arange(n, device=x.device) // (block or max(1, n))
    free = free[:, None].flatten(1)
    waits = replace(state, turn=torch.where(free, turn, -1), now=state.now - 1)
    return waits.next_turn()


def state_at(
    x: Int[Tensor, "b *event"], kappa: Float[Tensor, " b"], given: Bool[Tensor, "b n"] | None = None
) -> TokenState:
    """Return states at mixing weights, a float64 for each row; what is not given is open.

    Example:
        >>> state_at(torch.tensor([[3, 3]]), torch.zeros(1).double()).open
        tensor([[True, True]])
    """
    event, x = tuple(x.shape[1:]), x[:, None].flatten(1)
    zero = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    level = torch.zeros(x.shape, dtype=torch.float64, device=x.device)
    turn = torch.zeros_like(x)
    return TokenState(
        x=x,
        turn=turn if given is None else turn.masked_fill(given, -1),
        now=zero,
        reached=kappa,
        due=torch.zeros_like(kappa),
        nfe=zero,
        call=torch.zeros_like(x),
        level=level,
        log_prob=level,
        event=event,
    )
