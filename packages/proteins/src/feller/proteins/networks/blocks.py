"""Blocks of a network on frames: the clocks, the pairs, and transformer blocks that they steer.

A vector e of a residue's clocks sets shift, scale and gate of each branch,

    x <- x + gate(e) * branch((1 + scale(e)) * norm(x) + shift(e)),

all zero at first (adaLN-zero, arXiv 2212.09748, section 3.2). There is one for each residue, since
a residue that is known stands at another time than one that is not.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from feller.core.nn.embeddings import sinusoids
from feller.core.nn.modes import without_autocast
from feller.proteins.networks.attention import FrameAttention
from feller.proteins.networks.features import (
    GEOMETRY,
    RADIAL,
    RELATIVE,
    radial,
    relative_index,
    squared_distances,
)

__all__ = [
    "FACTORS",
    "ChainEmbedding",
    "ClockEmbedding",
    "EndEmbedding",
    "FrameBlock",
    "Modulated",
    "PairBias",
]

FACTORS = ("translation", "rotation", "residue")
"""The factors of a state of a protein; each has a clock."""

_WAVES = 64
_END = 64
_POOLS = 4


class ClockEmbedding(nn.Module):
    """The clocks of a residue as a vector, and whether each stands at 1: what is known is marked.

    Clocks that one number a sample was expanded to (their stride is 0) cost one vector a sample.

    Args:
        dim: Size of the embedding.

    Example:
        >>> clocks = {name: torch.rand(2, 1).expand(2, 7) for name in FACTORS}
        >>> ClockEmbedding(32)(clocks).shape
        torch.Size([2, 1, 32])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(len(FACTORS) * (_WAVES + 1), dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, clocks: dict[str, Tensor]) -> Float[Tensor, "b #n d"]:
        """Embed the clocks, each (b, n)."""
        t = [clocks[name] for name in FACTORS]
        if all(clock.stride(1) == 0 for clock in t):
            t = [clock[:, :1] for clock in t]
        t = torch.stack(t, dim=-1)
        waves = torch.cat([sinusoids(1000 * t, _WAVES).flatten(-2), (t == 1).to(t.dtype)], -1)
        return F.silu(self.out(F.silu(self.hidden(waves.to(self.hidden.weight.dtype)))))


class EndEmbedding(nn.Module):
    """How far a residue is from the first and from the last one of its chain, up to 64.

    Where frames are noise, pairs alone would say that slowly.

    Args:
        dim: Size of the embedding. A fresh one is zero.

    Example:
        >>> EndEmbedding(32)(torch.arange(7)[None]).shape
        torch.Size([1, 7, 32])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first, self.last = nn.Embedding(_END + 1, dim), nn.Embedding(_END + 1, dim)
        nn.init.zeros_(self.first.weight)
        nn.init.zeros_(self.last.weight)

    def forward(self, index: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        """Embed the numbers of residues."""
        before, after = index - index[:, :1], index[:, -1:] - index
        return self.first(before.clamp(0, _END)) + self.last(after.clamp(0, _END))


class ChainEmbedding(nn.Module):
    """What pairs are that no frame changes: how far along the chain, and an earlier estimate.

    Args:
        pair: Channels of a pair.
        self_conditioning: Whether distances of an earlier estimate are seen.
    """

    def __init__(self, pair: int, *, self_conditioning: bool) -> None:
        super().__init__()
        self.along = nn.Embedding(RELATIVE, pair)
        if self_conditioning:
            self.earlier = nn.Linear(RADIAL, pair, bias=False)

    def forward(
        self, index: Int[Tensor, "b n"], previous: Float[Tensor, "b n 3"] | None
    ) -> Float[Tensor, "#b n n pair"]:
        """Embed the pairs.

        Args:
            index: Numbers of residues. One row of them that was expanded to all samples (its stride
                is 0) is embedded once.
            previous: Earlier estimates of the positions, in nanometres; None, or not a number,
                where there is none yet.
        """
        embedded = self.along(relative_index(index if index.stride(0) else index[:1]))
        if previous is None:
            return embedded
        with without_autocast(previous):
            seen = radial(squared_distances(previous)).nan_to_num()
        return embedded + self.earlier(seen)


class PairBias(nn.Module):
    """Biases of the attention of a few blocks, and what each residue takes from its pairs itself.

    A bias can turn attention to a neighbour, but does not say where that is: so the pairs of a
    residue are averaged too, by softmax weights of their own.

    Args:
        dim: Channels of a residue.
        pair: Channels of a pair.
        biases: Biases of a pair: heads, for all blocks together.
        seen: Channels of what is seen of a pair.
    """

    def __init__(self, dim: int, pair: int, biases: int, seen: int = GEOMETRY) -> None:
        super().__init__()
        self.see = nn.Linear(seen, pair, bias=False)
        self.weigh = nn.Linear(pair, biases + _POOLS)
        self.ends = nn.Linear(dim, 2 * pair)
        self.take = nn.Linear(_POOLS * pair, dim)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        chain: Float[Tensor, "#b n n pair"],
        seen: Float[Tensor, "b n n seen"],
    ) -> tuple[Float[Tensor, "b biases n n"], Float[Tensor, "b n d"]]:
        """Return biases, and what is added to the residues.

        Args:
            x: Residues.
            chain: The embedding of the chain.
            seen: The geometry of the pairs.
        """
        mine, other = self.ends(x).chunk(2, dim=-1)
        # In place, and so without arrays of pairs that nothing needs afterwards.
        pairs = self.see(seen).add_(chain).add_(mine[:, :, None]).add_(other[:, None])
        pairs = F.silu(pairs, inplace=not pairs.requires_grad)
        logits = self.weigh(pairs)
        biases, pools = logits.split([logits.shape[-1] - _POOLS, _POOLS], dim=-1)
        taken = pools.softmax(2).mT @ pairs
        return biases.permute(0, 3, 1, 2).contiguous(), self.take(taken.flatten(2))


class Modulated(nn.Module):
    """A norm whose shift and scale, and vectors beside, come from the clocks.

    Args:
        dim: Channels of a residue.
        gates: Vectors beside.
    """

    def __init__(self, dim: int, gates: int = 0) -> None:
        super().__init__()
        self.count = 2 + gates
        self.norm = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(dim, self.count * dim)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, ...]:
        """Return the modulated norm of `x`, and the gates."""
        shift, scale, *gates = self.linear(embedding).chunk(self.count, dim=-1)
        return torch.addcmul(shift, self.norm(x), 1 + scale), *gates


class FrameBlock(nn.Module):
    """Attention and a perceptron, each a gated residual branch; a fresh one is the identity.

    Args:
        dim: Channels of a residue.
        num_heads: Heads of attention.
        points: Points of a head.
        dropout: Probability of dropping a value at the end of a branch, in training.
    """

    def __init__(self, dim: int, num_heads: int, points: int, dropout: float) -> None:
        super().__init__()
        self.attend = FrameAttention(dim, num_heads, points)
        self.mlp = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(approximate="tanh"), nn.Linear(4 * dim, dim)
        )
        self.dropout = nn.Dropout(dropout)
        self.apply(_xavier)
        self.norm_attend, self.norm_mlp = Modulated(dim, 1), Modulated(dim, 1)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        embedding: Float[Tensor, "b #n d"],
        bias: Float[Tensor, "b heads n n"],
        position: Float[Tensor, "b n 3"],
        rotation: Float[Tensor, "b n 3 3"],
    ) -> Float[Tensor, "b n d"]:
        """Apply the block; arguments as those of `FrameAttention`, and the clocks' embedding."""
        seen, gate = self.norm_attend(x, embedding)
        x = torch.addcmul(x, gate, self.dropout(self.attend(seen, bias, position, rotation)))
        seen, gate = self.norm_mlp(x, embedding)
        return torch.addcmul(x, gate, self.dropout(self.mlp(seen)))


def _xavier(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
