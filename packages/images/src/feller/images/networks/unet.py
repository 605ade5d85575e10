"""The U-Net of diffusion models, from DDPM (arXiv 2006.11239) to ADM (arXiv 2105.05233).

An encoder halves the image from level to level and leaves memories; a decoder doubles it back and
reads them. Every part takes (x, embedding), with x an image (b, c, h, w) and embedding a vector
(b, d) for time and label; thus parts stack freely.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from feller.core.checks import check_sizes
from feller.core.config import tagged
from feller.core.nn.attention import SelfAttention
from feller.core.nn.embeddings import LabelEmbedding, TimeEmbedding
from feller.images.networks.checks import check_arguments, check_attention

__all__ = ["UNet", "UNetConfig"]


@tagged("unet")
@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """What a `UNet` is made of.

    Attributes:
        in_channels: Channels of the image that comes in.
        out_channels: Channels that go out, for each pixel.
        channels: Width of each level, finest first; a level has half the side of the one before.
        stem_channels: Width before the first level; a quarter of the embedding's. None for the
            first level's.
        blocks_per_level: Residual blocks of a level in the encoder; the decoder has one more.
        attention_levels: Levels that attend, 0 the finest; the middle always does.
        head_channels: Channels of an attention head; None for one head.
        dropout: Probability of dropping a value in a residual block, in training.
        num_classes: Classes of the labels; 0 for an unconditional network.
        patch_size: Side of the patches that are folded into channels at the door; 1 for none.
        scale_shift_norm: The embedding scales and shifts after the second norm of a residual block
            (ADM); otherwise it shifts before.
        residual_resampling: Residual blocks change the size (ADM); otherwise convolutions do.
        asymmetric_padding: Strided convolutions pad below and to the right only (DDPM).
        norm_groups: Groups of a norm; fewer where a group would have less than 4 channels.
        norm_eps: Added to a variance.
        time_scale: See `TimeEmbedding`, as for the two that follow.
        time_offset: -999 and 999 as scale and offset for a network that was trained as DDPM's.
        frequency_shift: 1 for DDPM's frequencies.

    Raises:
        ValueError: When a size is below 1, or attention levels or heads do not fit the channels.

    Example:
        >>> network = UNetConfig(channels=(8, 16), blocks_per_level=1, num_classes=10).build()
        >>> network(torch.randn(2, 3, 8, 8), torch.rand(2), torch.tensor([3, 7])).shape
        torch.Size([2, 3, 8, 8])
    """

    in_channels: int = 3
    out_channels: int = 3
    channels: tuple[int, ...] = (128, 256, 256, 256)
    stem_channels: int | None = None
    blocks_per_level: int = 2
    attention_levels: tuple[int, ...] = (1,)
    head_channels: int | None = None
    dropout: float = 0.0
    num_classes: int = 0
    patch_size: int = 1
    scale_shift_norm: bool = False
    residual_resampling: bool = False
    asymmetric_padding: bool = False
    norm_groups: int = 32
    norm_eps: float = 1e-5
    time_scale: float = 1000.0
    time_offset: float = 0.0
    frequency_shift: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(self, "in_channels", "out_channels", "channels", "patch_size", "norm_groups")
        check_attention(self.channels, self.attention_levels, self.head_channels)

    @property
    def stem(self) -> int:
        """Width before the first level."""
        return self.stem_channels or self.channels[0]

    @property
    def embedding_dim(self) -> int:
        """Size of the vector for time and label."""
        return 4 * self.stem

    @property
    def side_multiple(self) -> int:
        """What the sides of an image must be multiples of."""
        return self.patch_size * 2 ** (len(self.channels) - 1)

    def build(self) -> "UNet":
        """Make a network with fresh weights."""
        return UNet(self)


class UNet(nn.Module):
    """U-Net of residual blocks and self-attention, for a time and a label.

    The last layer of each branch, and of the network, starts at zero: a fresh one returns zeros.

    Example:
        >>> network = UNetConfig(channels=(8, 16), blocks_per_level=1).build()
        >>> network(torch.randn(2, 3, 8, 8), torch.rand(2)).count_nonzero().item()
        0
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        area, fine, coarse = config.patch_size**2, config.channels[0], config.channels[-1]
        self.embed_time = TimeEmbedding(
            config.stem,
            config.embedding_dim,
            time_scale=config.time_scale,
            time_offset=config.time_offset,
            frequency_shift=config.frequency_shift,
        )
        if config.num_classes:
            self.embed_label = LabelEmbedding(config.num_classes, config.embedding_dim)
        self.stem = nn.Conv2d(config.in_channels * area, config.stem, 3, padding=1)
        self.encoder, memories = _encoder(config)
        first, last = (ResidualBlock(coarse, coarse, config) for _ in range(2))
        self.middle = Stack([first, Attention(coarse, config), last])
        self.decoder = _decoder(config, memories)
        self.norm = _norm(fine, config)
        self.head = _zeroed(nn.Conv2d(fine, config.out_channels * area, 3, padding=1))

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        t: Float[Tensor, " b"],
        condition: Int[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b out h w"]:
        """Apply the network.

        Args:
            x: Images, such as states x_t of a path.
            t: Their times, 0 noise and 1 data.
            condition: Labels 0 ... num_classes - 1; None, or the label num_classes, for no label.

        Raises:
            ValueError: When the sides do not suit the levels, or an unconditional network is given
                labels.
        """
        config = self.config
        check_arguments(x, condition, multiple=config.side_multiple, num_classes=config.num_classes)
        embedding = self.embed_time(t)
        if config.num_classes:
            embedding = embedding + self.embed_label(condition, batch=len(x))
        embedding = F.silu(embedding)
        x = self.stem(F.pixel_unshuffle(x, config.patch_size))
        memories = [x]
        for part in self.encoder:
            x = part(x, embedding)
            memories.append(x)
        x = self.middle(x, embedding)
        for part in self.decoder:
            x = part(torch.cat([x, memories.pop()], dim=1), embedding)
        return F.pixel_shuffle(self.head(F.silu(self.norm(x))), config.patch_size)


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

    def __init__(self, width: int, out: int, config: UNetConfig, *, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.scale_shift_norm = config.scale_shift_norm
        self.norm_in = _norm(width, config)
        self.conv_in = nn.Conv2d(width, out, 3, padding=1)
        self.embed = nn.Linear(config.embedding_dim, 2 * out if config.scale_shift_norm else out)
        self.norm_out = _norm(out, config)
        self.dropout = nn.Dropout(config.dropout)
        self.conv_out = _zeroed(nn.Conv2d(out, out, 3, padding=1))
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

    def __init__(self, width: int, config: UNetConfig) -> None:
        super().__init__()
        self.norm = _norm(width, config)
        self.attend = SelfAttention(width, width // (config.head_channels or width))
        _zeroed(self.attend.out)

    def forward(self, x: Float[Tensor, "b c h w"], embedding: Float[Tensor, "b d"]) -> Tensor:
        """Attend; the embedding is not used."""
        tokens = self.attend(rearrange(self.norm(x), "b c h w -> b (h w) c"))
        return x + rearrange(tokens, "b (h w) c -> b c h w", h=x.shape[2])


class Resize(nn.Module):
    """Half the sides by a strided convolution, or twice by repeated pixels and a convolution."""

    def __init__(self, width: int, config: UNetConfig, *, scale: float) -> None:
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


def _encoder(config: UNetConfig) -> tuple[nn.ModuleList, list[int]]:
    """The parts, and the widths of the memories: of the stem, then of each part."""
    parts, widths = nn.ModuleList(), [config.stem]
    for level, width in enumerate(config.channels):
        for _ in range(config.blocks_per_level):
            parts.append(_layer(widths[-1], width, level, config))
            widths.append(width)
        if level < len(config.channels) - 1:
            parts.append(_resizing(width, 0.5, config))
            widths.append(width)
    return parts, widths


def _decoder(config: UNetConfig, memories: list[int]) -> nn.ModuleList:
    parts, width, memories = nn.ModuleList(), config.channels[-1], memories.copy()
    for level, out in reversed(list(enumerate(config.channels))):
        for block in range(config.blocks_per_level + 1):
            layer = _layer(width + memories.pop(), out, level, config)
            width = out
            if level > 0 and block == config.blocks_per_level:
                layer.append(_resizing(width, 2.0, config))
            parts.append(layer)
    return parts


def _layer(width: int, out: int, level: int, config: UNetConfig) -> Stack:
    block = ResidualBlock(width, out, config)
    attends = level in config.attention_levels
    return Stack([block, Attention(out, config)] if attends else [block])


def _resizing(width: int, scale: float, config: UNetConfig) -> nn.Module:
    if config.residual_resampling:
        return ResidualBlock(width, width, config, scale=scale)
    return Resize(width, config, scale=scale)


def _resize(x: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return x
    return F.avg_pool2d(x, 2) if scale < 1 else F.interpolate(x, scale_factor=2, mode="nearest")


def _norm(width: int, config: UNetConfig) -> nn.GroupNorm:
    # A norm over one channel would erase what the embedding adds to that channel.
    most = max(1, min(config.norm_groups, width // 4))
    groups = next(n for n in range(most, 0, -1) if width % n == 0)
    return nn.GroupNorm(groups, width, eps=config.norm_eps)


def _zeroed(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
