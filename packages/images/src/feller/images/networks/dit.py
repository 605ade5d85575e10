"""DiT: a transformer on the patches of an image (arXiv 2212.09748)."""

from dataclasses import dataclass
from typing import Annotated

import tyro
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from feller.core.checks import check_sizes
from feller.core.config import tagged
from feller.core.nn.conditions import Conditions
from feller.core.nn.embeddings import (
    StepEmbedding,
    TimeEmbedding,
    condition_embedding,
    grid_positions,
)
from feller.core.nn.transformer import Transformer, TransformerConfig
from feller.images.networks.checks import Told, check_arguments, check_conditions

__all__ = ["DIT_SIZES", "DiT", "DiTConfig"]

DIT_SIZES = {
    "S": TransformerConfig(dim=384, depth=12, num_heads=6),
    "B": TransformerConfig(dim=768, depth=12, num_heads=12),
    "L": TransformerConfig(dim=1024, depth=24, num_heads=16),
    "XL": TransformerConfig(dim=1152, depth=28, num_heads=16),
}
"""The sizes of table 1 of the paper."""


@tagged("dit")
@dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """What a `DiT` is made of.

    Attributes:
        in_channels: Channels of the input image.
        out_channels: Output channels for each pixel.
        patch_size: Side of a patch; a patch is a token.
        transformer: The transformer; `DIT_SIZES` has those of the paper.
        num_classes: Classes of the labels; 0 for an unconditional network.
        time_scale: Scale of the embedded time, scale * t + offset; -1000 with an
            offset of 999 for DDPM's steps.
        time_offset: Offset of that time.
        frequency_shift: Shift of the frequencies of the time embedding; 1 for the DiT of diffusers.
        condition_size: Length of a vector condition, used instead of a label.
        two_times: Whether the network also takes the time at which a step ends (MeanFlow).
        conditions: Named conditions of the network, instead of a label or a vector.

    Raises:
        ValueError: When the channels or the side of a patch are below 1.

    Example:
        >>> DiTConfig(transformer=DIT_SIZES["XL"], num_classes=1000).transformer.depth
        28
    """

    in_channels: int = 3
    out_channels: int = 3
    patch_size: int = 2
    transformer: TransformerConfig = DIT_SIZES["S"]
    num_classes: int = 0
    time_scale: float = 1000.0
    time_offset: float = 0.0
    frequency_shift: float = 0.0
    condition_size: int = 0
    two_times: bool = False
    conditions: Annotated[Conditions | None, tyro.conf.Fixed] = None

    def __post_init__(self) -> None:
        check_sizes(self, "in_channels", "out_channels", "patch_size")
        check_conditions(self)

    def build(self, numbers: int = 1) -> "DiT":
        """Make a network with fresh weights, with `numbers` outputs for each channel of a pixel."""
        return DiT(self, numbers)


class DiT(nn.Module):
    """Diffusion transformer with fixed positions; a fresh one returns zeros.

    Example:
        >>> import torch
        >>> tiny = TransformerConfig(dim=32, depth=1, num_heads=2)
        >>> network = DiTConfig(patch_size=4, transformer=tiny, num_classes=10).build()
        >>> network(torch.randn(2, 3, 8, 12), torch.rand(2), torch.tensor([3, 7])).shape
        torch.Size([2, 3, 8, 12])
    """

    def __init__(self, config: DiTConfig, numbers: int = 1) -> None:
        super().__init__()
        self.config, self.numbers = config, numbers
        dim, area = config.transformer.dim, config.patch_size**2
        self.embed_time = TimeEmbedding(
            256,
            dim,
            time_scale=config.time_scale,
            time_offset=config.time_offset,
            frequency_shift=config.frequency_shift,
        )
        sizes = config.num_classes, config.condition_size
        self.embed_label = condition_embedding(*sizes, dim)
        if config.two_times:
            self.embed_step = StepEmbedding(256, dim)
        more = 0
        if config.conditions:
            self.embed_condition = config.conditions.build(dim)
            more = config.conditions.channels
        self.embed_patch = nn.Linear((config.in_channels + more) * area, dim)
        self.transformer = Transformer(config.transformer, config.out_channels * area * numbers)

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
            ValueError: When the sides are not multiples of the patch, or an unconditional network
                is given labels.
        """
        patch = self.config.patch_size
        numbers = self.config.num_classes, self.config.condition_size
        named = self.config.conditions
        check_arguments(x, None if named else condition, patch, *numbers)
        # At fixed s the derivative by t, which MeanFlow takes, meets smooth waves only.
        embedding = self.embed_time(t if s is None else s)
        if self.embed_label is not None:
            embedding = embedding + self.embed_label(condition, batch=len(x))
        if self.config.two_times:
            embedding = embedding + self.embed_step(t, s)
        if named:
            embedding = embedding + self.embed_condition(condition, batch=len(x))
            x = self.embed_condition.beside(x, condition)
        rows, columns = x.shape[2] // patch, x.shape[3] // patch
        patches = rearrange(x, "b c (h p) (w q) -> b (h w) (c p q)", p=patch, q=patch)
        # A network in half precision is asked at states in single precision.
        tokens = self.embed_patch(patches.to(self.embed_patch.weight.dtype))
        tokens = tokens + grid_positions(rows, columns, tokens.shape[-1], like=tokens)
        split = {"h": rows, "p": patch, "q": patch, "k": self.numbers}
        out = rearrange(
            self.transformer(tokens, embedding), "b (h w) (c p q k) -> b c (h p) (w q) k", **split
        )
        return out.squeeze(-1) if self.numbers == 1 else out
