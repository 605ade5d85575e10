"""The parts of a U-Net: residual blocks, self-attention, and changes of size.

Every part takes (x, embedding), with x an image (b, c, h, w) and embedding a vector (b, d) for time
and label; thus parts stack freely.
"""

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from feller.core.nn.attention import SelfAttention

__all__ = ["Attention", "BlockOptions", "ResidualBlock", "Resize", "Stack", "group_norm", "zeroed"]


@runtime_checkable
class BlockOptions(Protocol):
    """What the parts of a network have in common: see `UNetConfig`."""

    @property
    def embedding_dim(self) -> int:
        """Size of the vector for time and label."""
        ...

    @property
    def dropout(self) -> float:
        """Probability of dropping a value, in training."""
        ...

    @property
    def head_channels(self) -> int | None:
        """Channels of an attention head; None for one head."""
        ...

    @property
    def scale_shift_norm(self) -> bool:
        """Whether the embedding scales and shifts after the second norm."""
        ...

    @property
    def asymmetric_padding(self) -> bool:
        """Whether strided convolutions pad below and to the right only."""
        ...

    @property
    def norm_groups(self) -> int:
        """Groups of a norm, at most."""
        ...

    @property
    def smallest_group(self) -> int:
        """Fewest channels of a group of a norm."""
        ...

    @property
    def norm_eps(self) -> float:
        """Added to a variance."""
        ...


class Stack(nn.ModuleList):
    """Parts in a row, each given the embedding."""

    def forward(self, x: Float[Tensor, "b c h w"], embedding: Float[Tensor, "b d"]) -> Tensor:
        """Apply the parts."""
        for part in self:
            x = part(x, embedding)
        return x


class ResidualBlock(nn.Module):
    """Norm, SiLU and convolution, twice, around a shortcut.

    Args:
        width: Channels in.
        out: Channels out.
        config: Options of the network.
        scale: Factor on the sides: 0.5, 1 or 2.
    """

    def __init__(self, width: int, out: int, config: BlockOptions, *, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.scale_shift_norm = config.scale_shift_norm
        self.norm_in = group_norm(width, config)
        self.conv_in = nn.Conv2d(width, out, 3, padding=1)
        self.embed = nn.Linear(config.embedding_dim, 2 * out if config.scale_shift_norm else out)
        self.norm_out = group_norm(out, config)
        self.dropout = nn.Dropout(config.dropout)
        self.conv_out = zeroed(nn.Conv2d(out, out, 3, padding=1))
        self.shortcut = nn.Conv2d(width, out, 1) if width != out else nn.Identity()

    def forward(self, x: Float[Tensor, "b c h w"], embedding: Float[Tensor, "b d"]) -> Tensor:
        """Apply the block."""
        h = self.conv_in(_resize(F.silu(self.norm_in(x)), self.scale))
        e = rearrange(self.embed(embedding), "b c -> b c 1 1")
        if self.scale_shift_norm:
            scale, shift = e.chunk(2, dim=1)
            h = torch.addcmul(shift, self.norm_out(h), 1 + scale)
        else:
            h = self.norm_out(h + e)
        h = self.conv_out(self.dropout(F.silu(h)))
        return self.shortcut(_resize(x, self.scale)) + h


class Attention(nn.Module):
    """Every pixel looks at every pixel, in a residual branch."""

    def __init__(self, width: int, config: BlockOptions) -> None:
        super().__init__()
        self.norm = group_norm(width, config)
        self.attend = SelfAttention(width, width // (config.head_channels or width))
        zeroed(self.attend.out)

    def forward(self, x: Float[Tensor, "b c h w"], embedding: Float[Tensor, "b d"]) -> Tensor:
        """Attend; the embedding is not used."""
        tokens = self.attend(rearrange(self.norm(x), "b c h w -> b (h w) c"))
        return x + rearrange(tokens, "b (h w) c -> b c h w", h=x.shape[2])


class Resize(nn.Module):
    """Half the sides by a strided convolution, or twice by repeated pixels and a convolution."""

    def __init__(self, width: int, config: BlockOptions, *, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.asymmetric = config.asymmetric_padding and scale < 1
        stride, padding = int(max(1, 1 / scale)), int(not self.asymmetric)
        self.conv = nn.Conv2d(width, width, 3, stride=stride, padding=padding)

    def forward(self, x: Float[Tensor, "b c h w"], embedding: Float[Tensor, "b d"]) -> Tensor:
        """Change the size; the embedding is not used."""
        if self.scale > 1:
            x = _resize(x, self.scale)
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.asymmetric else x)


def _resize(x: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return x
    return F.avg_pool2d(x, 2) if scale < 1 else F.interpolate(x, scale_factor=2, mode="nearest")


def group_norm(width: int, config: BlockOptions) -> nn.GroupNorm:
    """Return a norm of `norm_groups` groups, or fewer: of `smallest_group` channels at least."""
    # A norm over one channel would erase what the embedding adds to that channel.
    most = max(1, min(config.norm_groups, width // config.smallest_group))
    groups = next(n for n in range(most, 0, -1) if width % n == 0)
    return nn.GroupNorm(groups, width, eps=config.norm_eps)


def zeroed(layer: nn.Module) -> nn.Module:
    """Return the layer with zeros as weights."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
