"""The transformer with adaptive norms that starts as the identity (adaLN-zero), for every domain.

A vector e, for time and whatever else is known, sets shift, scale and gate of each branch:

    x <- x + gate(e) * branch((1 + scale(e)) * norm(x) + shift(e)),

for attention, then for a perceptron. All of them start at zero. Source: DiT, arXiv 2212.09748,
section 3.2. The vector is one per sample, or one per token where tokens have their own times.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from feller.core.checks import check_sizes
from feller.core.config import tagged
from feller.core.nn.attention import SelfAttention

__all__ = ["Transformer", "TransformerBlock", "TransformerConfig"]


@tagged("transformer")
@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Size and options of a `Transformer`.

    Attributes:
        dim: Channels of a token.
        depth: Number of blocks.
        num_heads: Heads of attention.
        mlp_ratio: Width of the perceptron, in units of `dim`.
        dropout: Probability of dropping a value at the end of a branch, in training.
        qk_norm: Divide queries and keys by their root mean square: logits stay bounded.
        rotary: Rotate queries and keys by their position in the sequence.

    Raises:
        ValueError: When `dim` or `num_heads` is below 1.
    """

    dim: int
    depth: int
    num_heads: int
    mlp_ratio: float = 4.0
    dropout: float = 0.0
    qk_norm: bool = False
    rotary: bool = False

    def __post_init__(self) -> None:
        check_sizes(self, "dim", "num_heads")


class Transformer(nn.Module):
    """Blocks, a norm and a linear layer to the outputs; a fresh one returns zeros.

    Args:
        config: Size and options.
        out_dim: Numbers to return for each token.

    Example:
        >>> network = Transformer(TransformerConfig(dim=32, depth=2, num_heads=4), out_dim=5)
        >>> network(torch.randn(2, 10, 32), torch.randn(2, 32)).shape
        torch.Size([2, 10, 5])
    """

    def __init__(self, config: TransformerConfig, out_dim: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.depth))
        self.modulation = _Modulation(config.dim, 2)
        self.norm = _norm(config.dim)
        self.head = nn.Linear(config.dim, out_dim)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        embedding: Float[Tensor, "b d"] | Float[Tensor, "b n d"],
        mask: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n out"]:
        """Apply the network.

        Args:
            x: Tokens.
            embedding: Time and whatever else is known, per sample or per token.
            mask: Which tokens are seen. None for all.
        """
        for block in self.blocks:
            x = block(x, embedding, mask)
        shift, scale = self.modulation(embedding)
        return self.head(_modulate(self.norm(x), shift, scale))


class TransformerBlock(nn.Module):
    """Attention and a perceptron, each a gated residual branch; a fresh one is the identity.

    Example:
        >>> block = TransformerBlock(TransformerConfig(dim=32, depth=1, num_heads=4))
        >>> x = torch.randn(2, 10, 32)
        >>> torch.equal(block(x, torch.randn(2, 32)), x)
        True
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        hidden = int(config.mlp_ratio * config.dim)
        self.attend = SelfAttention(
            config.dim, config.num_heads, qk_norm=config.qk_norm, rotary=config.rotary
        )
        self.mlp = nn.Sequential(
            nn.Linear(config.dim, hidden),
            nn.GELU(approximate="tanh"),
            nn.Linear(hidden, config.dim),
        )
        self.norm_attend, self.norm_mlp = _norm(config.dim), _norm(config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.apply(_xavier)
        self.modulation = _Modulation(config.dim, 6)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        embedding: Float[Tensor, "b d"] | Float[Tensor, "b n d"],
        mask: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Apply the block; arguments as those of `Transformer`."""
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.modulation(embedding)
        mixed = self.attend(_modulate(self.norm_attend(x), shift, scale), mask)
        x = torch.addcmul(x, gate, self.dropout(mixed))
        worked = self.mlp(_modulate(self.norm_mlp(x), shift_mlp, scale_mlp))
        return torch.addcmul(x, gate_mlp, self.dropout(worked))


class _Modulation(nn.Module):
    """A number of vectors (b, 1, d) or (b, n, d) from an embedding, zero at first."""

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.linear = nn.Linear(dim, count * dim)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, embedding: Tensor) -> tuple[Tensor, ...]:
        vectors = self.linear(nn.functional.silu(embedding))
        if vectors.ndim == 2:
            vectors = rearrange(vectors, "b d -> b 1 d")
        return vectors.chunk(self.count, dim=-1)


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, x, 1 + scale)


def _norm(dim: int) -> nn.LayerNorm:
    return nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)


def _xavier(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
