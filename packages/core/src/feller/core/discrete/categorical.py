r"""Drawing tokens from rows of logits, without losing the rare ones.

A draw inverts the distribution function at one uniform per row, in two levels: first a block of
about :math:`\sqrt v` ids by the blocks' sums, then an id in that block. The weights are read once,
in single precision; all sums over sums, and the uniform, are float64. So an id of probability
1e-12 comes out once in 1e12 draws, and an id of probability 0 never.

The usual shortcut, the largest of log p + Gumbel noise in float32, cannot do that: its uniforms are
multiples of 2^-24, so a token that is rarer than the noise can lift is never drawn, and text loses
its rare words (Zheng et al., arXiv 2409.02908).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from feller.core.checks import check_totals

__all__ = ["Bonus", "Certainty", "Shaping", "certainty", "draw_tokens", "draw_weighted"]

CHUNK = 2**20
"""Logits turned into weights at once, so that a draw needs 4 to 12 MiB however many its rows."""

COLDEST = 1e-30
"""A temperature at which logits that differ at all are infinitely far apart."""

Certainty = Literal["confidence", "margin", "entropy"]


class Bonus(NamedTuple):
    """The evidence of tokens for themselves.

    Attributes:
        ids: A token of each row.
        logits: What is added to its logit.
    """

    ids: Int[Tensor, " m"]
    logits: Float[Tensor, " m"]


@dataclass(frozen=True)
class Shaping:
    """How a distribution is changed before a draw; by default, not at all.

    Attributes:
        temperature: Divides the logits; 0 takes the most likely.
        top_k: Keep that many of the most likely.
        top_p: Keep the fewest of the most likely whose probabilities reach this sum.
        without: Ids that are never drawn.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    without: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check that the values are in range."""
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature is at least 0 and finite, not {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is at least 1, not {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is in (0, 1], not {self.top_p}")


def draw_weighted(weights: Float[Tensor, "m v"], u: Float[Tensor, " m"]) -> Int[Tensor, " m"]:
    """Return the id at the quantile `u` of each row's distribution function.

    Args:
        weights: Probabilities up to a factor of each row; a row has a positive one.
        u: Uniforms in [0, 1), float64.

    Raises:
        ValueError: When a row sums to 0, infinity or NaN, where looking costs nothing
            (`feller.core.checks`).

    Example:
        >>> weights = torch.tensor([[1.0, 0.0, 3.0]]).expand(2, 3)
        >>> draw_weighted(weights, torch.tensor([0.2, 0.3]))
        tensor([0, 2])
    """
    v = weights.shape[-1]
    block = max(1, round(v**0.5))
    whole = v // block * block
    sums = weights[:, :whole].unflatten(-1, (-1, block)).sum(-1)
    rest = weights[:, whole:].sum(-1, keepdim=True)
    blocks = torch.cat([sums, rest], -1)
    check_totals(blocks.sum(-1))
    chosen, within = _invert(blocks, u)
    ids = chosen[:, None] * block + torch.arange(block, device=weights.device)
    inner = weights.gather(-1, ids.clamp_max(v - 1)).masked_fill_(ids >= v, 0)
    return chosen * block + _invert(inner, within)[0]


def draw_tokens(
    logits: Float[Tensor, "m v"],
    u: Float[Tensor, " m"],
    shaping: Shaping,
    *,
    bonus: Bonus | None = None,
) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"]]:
    """Draw an id from each row of logits.

    Args:
        logits: Log-probabilities, each row up to a constant.
        u: Uniforms in [0, 1), float64.
        shaping: How the distribution is changed first.
        bonus: What is added to the logit of one id a row; nothing by default.

    Returns:
        The ids, and their log-probabilities before any shaping but the bonus.

    Example:
        >>> logits = torch.tensor([[0.0, -torch.inf, 0.0]])
        >>> draw_tokens(logits, torch.tensor([0.9]), Shaping())
        (tensor([2]), tensor([-0.6931]))
    """
    parts = []
    for rows in _chunks(logits):
        part = logits[rows]
        if bonus is not None:
            part = part.scatter_add(-1, bonus.ids[rows, None], bonus.logits[rows, None].to(part))
        parts.append(_draw(part, u[rows], shaping))
    if not parts:
        return u.new_zeros(0, dtype=torch.int64), logits.new_zeros(0)
    ids, log_probs = zip(*parts, strict=True)
    return torch.cat(ids), torch.cat(log_probs)


def certainty(logits: Float[Tensor, "m v"], kind: Certainty) -> Float[Tensor, " m"]:
    """Return how sure each row is: larger is surer.

    Confidence is the probability of the most likely id; margin, how far that is above the second;
    entropy, minus the entropy in nats.

    Example:
        >>> certainty(torch.tensor([[0.0, 0.0]]), "entropy")
        tensor([-0.6931])
    """
    found = [_certainty(logits[rows].log_softmax(-1), kind) for rows in _chunks(logits)]
    return torch.cat(found) if found else logits.new_zeros(0)


def _certainty(log_probs: Tensor, kind: Certainty) -> Tensor:
    if kind == "entropy":
        return -torch.special.entr(log_probs.exp()).sum(-1)
    best = log_probs.topk(min(2, log_probs.shape[-1]), -1).values.exp()
    return best[:, 0] if kind == "confidence" or best.shape[-1] == 1 else best[:, 0] - best[:, 1]


def _draw(logits: Tensor, u: Tensor, shaping: Shaping) -> tuple[Tensor, Tensor]:
    """Draw from a chunk of rows."""
    probabilities = logits.softmax(-1)
    check_totals(probabilities.amax(-1))  # of which none is NaN, or all are
    ids = (
        logits.argmax(-1)
        if shaping.temperature == 0
        else draw_weighted(_shaped(logits, probabilities, shaping), u)
    )
    return ids, probabilities.gather(-1, ids[:, None])[:, 0].log()


def _shaped(logits: Tensor, probabilities: Tensor, shaping: Shaping) -> Tensor:
    """Return the weights of a distribution after shaping."""
    weights = probabilities
    if shaping.temperature != 1:
        # Below the largest, and by no number that is 0 in single precision: nothing overflows
        # but to -inf, which is a weight of 0.
        below = logits - logits.amax(-1, keepdim=True)
        weights = (below / max(shaping.temperature, COLDEST)).softmax(-1)
    if shaping.top_k is None and (shaping.top_p is None or shaping.top_p == 1):
        return weights
    k = weights.shape[-1] if shaping.top_k is None else min(shaping.top_k, weights.shape[-1])
    kept, ids = weights.topk(k, -1)
    if shaping.top_p is not None:
        before = kept.double().cumsum(-1) - kept
        kept = kept.masked_fill(before >= shaping.top_p, 0)
    return torch.zeros_like(weights).scatter_(-1, ids, kept)


def _invert(weights: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return the index at a fraction of each row's sum, and the fraction of its weight reached."""
    running = weights.double().cumsum(-1)
    total = running[:, -1:]
    # Rounding may reach the sum itself, which lies past the last positive weight.
    target = torch.minimum(u[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    index = torch.searchsorted(running, target, right=True)
    weight = weights.gather(-1, index).double()
    reached = (target - (running.gather(-1, index) - weight)) / weight
    return index[:, 0], reached[:, 0].clamp_(0, 1)


def _chunks(logits: Tensor) -> Iterator[slice]:
    rows = max(1, CHUNK // logits.shape[-1])
    return (slice(i, i + rows) for i in range(0, len(logits), rows))
