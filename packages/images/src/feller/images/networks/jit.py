"""JiT: a plain transformer on large patches of pixels (arXiv 2511.13720).

A patch of hundreds of numbers goes through few on its way in. Blocks have root-mean-square norms,
SwiGLU and rotary positions of rows and columns, set by time and label as DiT's are; from one block
on, tokens that stand for the label are beside those of the patches. It predicts x_1.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from feller.core.checks import check_sizes
from feller.core.config import tagged
from feller.core.nn.embeddings import LabelEmbedding, TimeEmbedding, grid_positions
from feller.images.networks.checks import check_arguments

__all__ = ["JiT", "JiTConfig"]

EPS = 1e-6


@tagged("jit")
@dataclass(frozen=True, kw_only=True)
class JiTConfig:
    """What a `JiT` is made of.

    Attributes:
        in_channels: Channels of the input image.
        out_channels: Output channels for each pixel.
        patch_size: Side of a patch; a patch is a token.
        dim: Channels of a token.
        depth: Number of blocks.
        num_heads: Heads of attention.
        bottleneck: Dimension of the bottleneck through which a patch is embedded.
        context: Tokens that stand for the label.
        context_start: The block before which they are inserted.
        num_classes: Classes of the labels.
        time_scale: Scale of the embedded time, scale * t + offset.
        time_offset: Offset of that time.

    Raises:
        ValueError: When a size is below 1, or heads do not share the channels in fours.

    Example:
        >>> config = JiTConfig(dim=32, depth=2, num_heads=4, patch_size=4, num_classes=10)
        >>> config.build()(torch.randn(2, 3, 8, 8), torch.rand(2), torch.tensor([3, 7])).shape
        torch.Size([2, 3, 8, 8])
    """

    in_channels: int = 3
    out_channels: int = 3
    patch_size: int = 16
    dim: int = 768
    depth: int = 12
    num_heads: int = 12
    bottleneck: int = 128
    context: int = 32
    context_start: int = 4
    num_classes: int = 1000
    time_scale: float = 1.0
    time_offset: float = 0.0
    condition_size: ClassVar[int] = 0  # it takes labels alone
    conditions: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_sizes(self, "in_channels", "out_channels", "patch_size", "dim", "num_heads")
        check_sizes(self, "bottleneck", "num_classes")
        if self.dim % (4 * self.num_heads):
            raise ValueError(f"{self.num_heads} heads cannot share {self.dim} channels in fours")

    @property
    def hidden(self) -> int:
        """Width of a perceptron: two thirds of four times that of a token."""
        return int(4 * self.dim * 2 / 3)

    def build(self, numbers: int = 1) -> "JiT":
        """Make a network with fresh weights, with `numbers` outputs for each channel of a pixel."""
        return JiT(self, numbers)


class JiT(nn.Module):
    """Just image transformer; a fresh one returns zeros."""

    def __init__(self, config: JiTConfig, numbers: int = 1) -> None:
        super().__init__()
        self.config, self.numbers = config, numbers
        dim, area = config.dim, config.patch_size**2
        self.embed_time = TimeEmbedding(
            256, dim, time_scale=config.time_scale, time_offset=config.time_offset
        )
        self.embed_label = LabelEmbedding(config.num_classes, dim)
        self.narrow = nn.Linear(config.in_channels * area, config.bottleneck, bias=False)
        self.embed_patch = nn.Linear(config.bottleneck, dim)
        self.context = nn.Parameter(0.02 * torch.randn(config.context, dim))
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.depth))
        self.norm = nn.RMSNorm(dim, eps=EPS)
        self.modulation = _zeroed(nn.Linear(dim, 2 * dim))
        self.head = _zeroed(nn.Linear(dim, config.out_channels * area * numbers))

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        t: Float[Tensor, " b"],
        condition: Int[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b out h w *numbers"]:
        """Apply the network.

        Args:
            x: Images, such as states x_t of a path.
            t: Their times, 0 noise and 1 data.
            condition: Labels 0 ... num_classes - 1; None, or the label num_classes, for no label.

        Raises:
            ValueError: When the sides are not multiples of the patch.
        """
        config = self.config
        check_arguments(x, condition, multiple=config.patch_size, num_classes=config.num_classes)
        label = self.embed_label(condition, batch=len(x))
        embedding = F.silu(self.embed_time(t) + label)
        rows, columns = (side // config.patch_size for side in x.shape[2:])
        size = {"p": config.patch_size, "q": config.patch_size}
        patches = rearrange(x, "b c (h p) (w q) -> b (h w) (c p q)", **size)
        tokens = self.embed_patch(self.narrow(patches.to(self.narrow.weight.dtype)))
        tokens = tokens + grid_positions(rows, columns, config.dim, like=tokens)
        angles = _angles(rows, columns, config.dim // config.num_heads, like=tokens)
        for i, block in enumerate(self.blocks):
            if i == config.context_start:
                tokens = torch.cat([label[:, None] + self.context, tokens], 1)
                angles = F.pad(angles, (0, 0, config.context, 0))
            tokens = block(tokens, embedding, angles)
        shift, scale = self.modulation(embedding)[:, None].chunk(2, -1)
        out = self.head(self.norm(tokens[:, -rows * columns :]) * (1 + scale) + shift)
        split = size | {"h": rows, "k": self.numbers}
        out = rearrange(out, "b (h w) (c p q k) -> b c (h p) (w q) k", **split)
        return out.squeeze(-1) if self.numbers == 1 else out


class _Block(nn.Module):
    def __init__(self, config: JiTConfig) -> None:
        super().__init__()
        dim, of_head = config.dim, config.dim // config.num_heads
        self.num_heads = config.num_heads
        self.norm_attend, self.norm_mlp = (nn.RMSNorm(dim, eps=EPS) for _ in range(2))
        self.norm_q, self.norm_k = (nn.RMSNorm(of_head, eps=EPS) for _ in range(2))
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.gated, self.narrow = nn.Linear(dim, 2 * config.hidden), nn.Linear(config.hidden, dim)
        self.modulation = _zeroed(nn.Linear(dim, 6 * dim))

    def forward(self, x: Tensor, embedding: Tensor, angles: Tensor) -> Tensor:
        vectors = self.modulation(embedding)[:, None].chunk(6, -1)
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = vectors
        x = x + gate * self._attend(self.norm_attend(x) * (1 + scale) + shift, angles)
        a, b = self.gated(self.norm_mlp(x) * (1 + scale_mlp) + shift_mlp).chunk(2, -1)
        return x + gate_mlp * self.narrow(F.silu(a) * b)

    def _attend(self, x: Tensor, angles: Tensor) -> Tensor:
        heads = "b n (three heads d) -> three b heads n d"
        q, k, v = rearrange(self.qkv(x), heads, three=3, heads=self.num_heads)
        q, k = _turned(self.norm_q(q), angles), _turned(self.norm_k(k), angles)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(rearrange(mixed, "b heads n d -> b n (heads d)"))


def _angles(rows: int, columns: int, dim: int, *, like: Tensor) -> Tensor:
    """Return the angles of each patch `(n, dim / 2)`: by its row, then by its column."""
    count = dim // 4
    speed = 10_000 ** (-torch.arange(count, dtype=torch.float32, device=like.device) / count)
    cells = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).to(speed)
    return (cells[..., None] * speed).flatten(1)


def _turned(x: Tensor, angles: Tensor) -> Tensor:
    """Turn pairs of neighbouring channels."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    sin, cos = angles.sin().to(x.dtype), angles.cos().to(x.dtype)
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)


def _zeroed(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
