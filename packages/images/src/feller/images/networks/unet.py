"""The U-Net of diffusion models, from DDPM (arXiv 2006.11239) to ADM (arXiv 2105.05233).

An encoder halves the image from level to level and leaves memories; a decoder doubles it back and
reads them. The parts are those of `unet_blocks`.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
import tyro
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from feller.core.checks import check_sizes
from feller.core.config import tagged
from feller.core.nn.conditions import Conditions
from feller.core.nn.embeddings import StepEmbedding, TimeEmbedding, condition_embedding
from feller.images.networks.checks import (
    Told,
    check_arguments,
    check_attention,
    check_conditions,
)
from feller.images.networks.unet_blocks import (
    Attention,
    ResidualBlock,
    Resize,
    Stack,
    group_norm,
    zeroed,
)

__all__ = ["UNet", "UNetConfig"]


@tagged("unet")
@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """What a `UNet` is made of.

    Attributes:
        in_channels: Channels of the input image.
        out_channels: Output channels for each pixel.
        channels: Width of each level, finest first; a level has half the side of the one before.
        stem_channels: Width before the first level; a quarter of the embedding's. None for the
            first level's.
        blocks_per_level: Residual blocks of a level in the encoder; the decoder has one more.
        attention_levels: Levels with attention; 0 is the finest.
        head_channels: Channels of an attention head; None for one head.
        dropout: Probability of dropping a value in a residual block, in training.
        num_classes: Classes of the labels; 0 for an unconditional network.
        patch_size: Side of the patches that are folded into channels at the input; 1 for none.
        scale_shift_norm: The embedding scales and shifts after the second norm of a residual block
            (ADM); otherwise it shifts before.
        residual_resampling: Residual blocks change the size (ADM); otherwise convolutions do.
        asymmetric_padding: Strided convolutions pad below and to the right only (DDPM).
        norm_groups: Groups of a norm; fewer if a group would have fewer than `smallest_group`
            channels.
        norm_eps: Added to a variance.
        time_scale: Scale of the embedded time, scale * t + offset; -1000 with an
            offset of 999 for DDPM's steps, which run from 0 at the data to 999 at the noise.
        time_offset: Offset of that time.
        frequency_shift: Shift of the frequencies of the time embedding; 1 for DDPM's.
        smallest_group: Fewest channels of a group of a norm.
        middle_attention: Whether the middle block has attention.
        condition_size: Length of a vector condition, used instead of a label.
        two_times: Whether the network also takes the time at which a step ends (MeanFlow).
        conditions: Named conditions of the network, instead of a label or a vector.

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
    smallest_group: int = 4
    middle_attention: bool = True
    condition_size: int = 0
    two_times: bool = False
    conditions: Annotated[Conditions | None, tyro.conf.Fixed] = None

    def __post_init__(self) -> None:
        check_sizes(self, "in_channels", "out_channels", "channels", "patch_size")
        check_conditions(self)
        check_sizes(self, "norm_groups", "smallest_group")
        widths = [self.channels[-1]] if self.middle_attention else []
        check_attention(self.channels, self.attention_levels, self.head_channels, widths)

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

    def build(self, numbers: int = 1) -> "UNet":
        """Make a network with fresh weights, with `numbers` outputs for each channel of a pixel."""
        return UNet(self, numbers)


class UNet(nn.Module):
    """U-Net of residual blocks and self-attention, for a time and a label.

    The last layer of each branch, and of the network, starts at zero: a fresh one returns zeros.

    Example:
        >>> network = UNetConfig(channels=(8, 16), blocks_per_level=1).build()
        >>> network(torch.randn(2, 3, 8, 8), torch.rand(2)).count_nonzero().item()
        0
    """

    def __init__(self, config: UNetConfig, numbers: int = 1) -> None:
        super().__init__()
        self.config, self.numbers = config, numbers
        area, fine, coarse = config.patch_size**2, config.channels[0], config.channels[-1]
        self.embed_time = TimeEmbedding(
            config.stem,
            config.embedding_dim,
            time_scale=config.time_scale,
            time_offset=config.time_offset,
            frequency_shift=config.frequency_shift,
        )
        sizes = config.num_classes, config.condition_size
        self.embed_label = condition_embedding(*sizes, config.embedding_dim)
        if config.two_times:
            self.embed_step = StepEmbedding(config.stem, config.embedding_dim)
        more = 0
        if config.conditions:
            self.embed_condition = config.conditions.build(config.embedding_dim)
            more = config.conditions.channels
        self.stem = nn.Conv2d((config.in_channels + more) * area, config.stem, 3, padding=1)
        self.encoder, memories = _encoder(config)
        first, last = (ResidualBlock(coarse, coarse, config) for _ in range(2))
        between = [Attention(coarse, config)] if config.middle_attention else []
        self.middle = Stack([first, *between, last])
        self.decoder = _decoder(config, memories)
        self.norm = group_norm(fine, config)
        out = config.out_channels * area * numbers
        self.head = zeroed(nn.Conv2d(fine, out, 3, padding=1))

    @property
    def takes_next(self) -> bool:
        """Whether it is called with the time s at which the step ends."""
        return self.config.two_times

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        t: Float[Tensor, " b"],
        condition: Told = None,
        s: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b out h w *numbers"]:
        """Apply the network.

        Args:
            x: Images, such as states x_t of a path.
            t: Their times, 0 noise and 1 data.
            condition: Labels 0 ... num_classes - 1; None, or the label num_classes, for no label.
                Or vectors of condition_size numbers; None, or NaN, for none. Or a dict of what it
                are its conditions by name.
            s: The times at which steps end, of a network of two times; None for t.

        Returns:
            A number for each channel of a pixel; of a network with several, in a last axis.

        Raises:
            ValueError: When the sides do not suit the levels, or an unconditional network is given
                labels.
        """
        config = self.config
        numbers = config.num_classes, config.condition_size
        check_arguments(x, None if config.conditions else condition, config.side_multiple, *numbers)
        # At fixed s the derivative by t, which MeanFlow takes, meets smooth waves only.
        embedding = self.embed_time(t if s is None else s)
        if self.embed_label is not None:
            embedding = embedding + self.embed_label(condition, batch=len(x))
        if config.two_times:
            embedding = embedding + self.embed_step(t, s)
        if config.conditions:
            embedding = embedding + self.embed_condition(condition, batch=len(x))
            x = self.embed_condition.beside(x, condition)
        embedding = F.silu(embedding)
        # A network in half precision is asked at states in single precision.
        x = self.stem(F.pixel_unshuffle(x.to(self.stem.weight.dtype), config.patch_size))
        memories = [x]
        for part in self.encoder:
            x = part(x, embedding)
            memories.append(x)
        x = self.middle(x, embedding)
        for part in self.decoder:
            x = part(torch.cat([x, memories.pop()], dim=1), embedding)
        return self._pixels(self.head(F.silu(self.norm(x))))

    def _pixels(self, x: Tensor) -> Tensor:
        patch, k = self.config.patch_size, self.numbers
        if k == 1:
            return F.pixel_shuffle(x, patch)
        return rearrange(x, "b (c p q k) h w -> b c (h p) (w q) k", p=patch, q=patch, k=k)


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
