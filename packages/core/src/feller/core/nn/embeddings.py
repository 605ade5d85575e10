"""Embeddings: times, labels and positions as vectors.

A number tau is seen through n sinusoids of geometrically spaced frequencies and their cosines,

    [sin(omega_i tau), cos(omega_i tau)],    omega_i = 10000^(-i / (n - shift)),    i = 0 ... n - 1.

For a time, tau = scale * t + offset. Diffusion models of the discrete era count tau in steps of
growing noise, 0 ... 999: a scale of -1000 and an offset of 999 show them our t (0 noise, 1 data).
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = [
    "LabelEmbedding",
    "StepEmbedding",
    "TimeEmbedding",
    "grid_positions",
    "rotate",
    "sinusoids",
]


def sinusoids(
    tau: Float[Tensor, "*batch"], dim: int, *, frequency_shift: float = 0.0
) -> Float[Tensor, "*batch {dim}"]:
    """Sines, then cosines, of numbers at `dim / 2` frequencies from 1 down to about 1 / 10000.

    Source: Vaswani et al., arXiv 1706.03762, section 3.5.

    Args:
        tau: The numbers, such as `1000 * t` or positions.
        dim: Size of the embedding.
        frequency_shift: Subtracted from `dim / 2` in the spacing; with 1, as in DDPM
            (arXiv 2006.11239), the last frequency is 1 / 10000.

    Raises:
        ValueError: When `dim` is odd.

    Example:
        >>> sinusoids(torch.zeros(2), 4)
        tensor([[0., 0., 1., 1.],
                [0., 0., 1., 1.]])
    """
    if dim % 2:
        raise ValueError(f"sines and cosines come in pairs: dim must be even, not {dim}")
    index = torch.arange(dim // 2, dtype=tau.dtype, device=tau.device)
    decay = -math.log(10_000)
    if frequency_shift:
        # As networks that shift were trained: the rounding of angles counts at steps of hundreds.
        frequencies = torch.exp(decay * index / (dim // 2 - frequency_shift))
    else:
        frequencies = torch.exp(decay / (dim // 2) * index)
    angles = tau[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def grid_positions(
    height: int, width: int, dim: int, *, like: Tensor
) -> Float[Tensor, "cells {dim}"]:
    """Fixed positions of the cells of a grid, row by row; half the channels encode the column.

    Source: MoCo v3, arXiv 2104.02057, section 4.3; used by DiT, arXiv 2212.09748.

    Args:
        height: Rows.
        width: Columns.
        dim: Size of the embedding.
        like: Gives dtype and device.

    Raises:
        ValueError: When `dim` is not a multiple of 4.

    Example:
        >>> grid_positions(2, 3, 8, like=torch.empty(0)).shape
        torch.Size([6, 8])
    """
    if dim % 4:
        raise ValueError(f"dim is split over rows and columns: a multiple of 4, not {dim}")
    rows, columns = (torch.arange(n, dtype=like.dtype, device=like.device) for n in (height, width))
    of_column = repeat(sinusoids(columns, dim // 2), "w d -> (h w) d", h=height)
    of_row = repeat(sinusoids(rows, dim // 2), "h d -> (h w) d", w=width)
    return torch.cat([of_column, of_row], dim=-1)


class TimeEmbedding(nn.Module):
    """A time as a vector: sinusoids, then a perceptron of two layers.

    Source: DDPM, arXiv 2006.11239, appendix B.

    Args:
        features: Number of sines and cosines.
        dim: Size of the embedding.
        time_scale: Scale in tau = scale * t + offset.
        time_offset: Offset in tau.
        frequency_shift: See `sinusoids`.

    Example:
        >>> TimeEmbedding(32, 128)(torch.rand(8)).shape
        torch.Size([8, 128])
    """

    def __init__(
        self,
        features: int,
        dim: int,
        *,
        time_scale: float = 1000.0,
        time_offset: float = 0.0,
        frequency_shift: float = 0.0,
    ) -> None:
        super().__init__()
        self.features = features
        self.time_scale = time_scale
        self.time_offset = time_offset
        self.frequency_shift = frequency_shift
        self.hidden = nn.Linear(features, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch d"]:
        """Embed times of any shape: one per sample, or one per token."""
        tau = self.time_scale * t + self.time_offset
        waves = sinusoids(tau, self.features, frequency_shift=self.frequency_shift)
        return self.out(F.silu(self.hidden(waves.to(self.hidden.weight.dtype))))


class StepEmbedding(nn.Module):
    """The length s - t of a step as a vector, for networks of two times; a fresh one returns zeros.

    So the weights of a network of one time are a start, where it takes s. Source: MeanFlow, arXiv
    2505.13447, table 1c, which embeds a time and the length of the step.

    Args:
        features: Number of sines and cosines.
        dim: Size of the embedding.

    Example:
        >>> t = torch.zeros(3)
        >>> StepEmbedding(8, 4)(t, t + 0.5).count_nonzero().item()
        0
    """

    def __init__(self, features: int, dim: int) -> None:
        super().__init__()
        # MeanFlow trains a derivative by t: waves of a time scale of 1000 would drown it.
        self.embed = TimeEmbedding(features, dim, time_scale=10.0)
        nn.init.zeros_(self.embed.out.weight)
        nn.init.zeros_(self.embed.out.bias)

    def forward(
        self, t: Float[Tensor, "*batch"], s: Float[Tensor, "*batch"] | None
    ) -> Float[Tensor, "*batch d"]:
        """Embed s - t; None for s is t."""
        return self.embed(torch.zeros_like(t) if s is None else s - t)


class LabelEmbedding(nn.Module):
    """A class label as a vector, with one class more, the null class, for "no label".

    Label `num_classes` is the null class and `condition=None` means the same, so that one network
    is conditional and unconditional: classifier-free guidance (arXiv 2207.12598) needs both.

    Args:
        num_classes: Number of classes, the null class not counted.
        dim: Size of the embedding.

    Example:
        >>> embed = LabelEmbedding(10, 16)
        >>> torch.equal(embed(None, batch=2), embed(torch.tensor([10, 10]), batch=2))
        True
    """

    def __init__(self, num_classes: int, dim: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.table = nn.Embedding(num_classes + 1, dim)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, condition: Int[Tensor, " b"] | None, *, batch: int) -> Float[Tensor, "b d"]:
        """Embed labels 0 ... num_classes; None is the null class, `batch` times."""
        if condition is None:
            return repeat(self.table.weight[self.num_classes], "d -> b d", b=batch)
        return self.table(condition)


class VectorEmbedding(nn.Module):
    """A condition of several numbers as a vector; rows that hold NaN, and None, are "no condition".

    Args:
        size: How many numbers a condition has.
        dim: Size of the embedding.

    Example:
        >>> embed = VectorEmbedding(2, 16)
        >>> unknown = torch.tensor([[torch.nan, 1.0]])
        >>> torch.equal(embed(None, batch=1), embed(unknown, batch=1))
        True
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size, dim)
        self.out = nn.Linear(dim, dim)
        self.null = nn.Parameter(0.02 * torch.randn(dim))

    def forward(
        self, condition: Float[Tensor, "b n"] | None, *, batch: int
    ) -> Float[Tensor, "b d"]:
        """Embed conditions; None is none for each of `batch` rows."""
        if condition is None:
            return repeat(self.null, "d -> b d", b=batch)
        known = condition.isfinite().all(-1, keepdim=True)
        numbers = torch.where(known, condition, 0.0).to(self.null.dtype)
        return torch.where(known, self.out(F.silu(self.hidden(numbers))), self.null)


def condition_embedding(num_classes: int, size: int, dim: int) -> nn.Module | None:
    """Return the embedding of a class, of a vector of numbers, or none.

    Raises:
        ValueError: When both are asked for.
    """
    if num_classes and size:
        raise ValueError("a condition is a class (num_classes) or a vector (condition_size)")
    if size:
        return VectorEmbedding(size, dim)
    return LabelEmbedding(num_classes, dim) if num_classes else None


def rotate(
    x: Float[Tensor, "b heads n d"], positions: Float[Tensor, " n"]
) -> Float[Tensor, "b heads n d"]:
    """Rotary positions: turn each pair of channels (i, i + d / 2) by omega_i * position.

    The inner product of a rotated query and a rotated key depends on the difference of their
    positions only. Source: RoFormer, arXiv 2104.09864, equation 34.

    Args:
        x: Queries or keys; d is even.
        positions: Position of each token.

    Example:
        >>> x = torch.randn(1, 2, 5, 8)
        >>> torch.equal(rotate(x, torch.zeros(5)), x)
        True
    """
    waves = sinusoids(positions, x.shape[-1]).to(x.dtype)
    sin, cos = rearrange(waves, "n (two d) -> two n d", two=2)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
