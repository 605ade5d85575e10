"""Kinds of conditions: classes, numbers, vectors, images. Texts are in `text_encoder`."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import repeat
from torch import Tensor, nn

from feller.core.checks import check_sizes
from feller.core.config import tagged
from feller.core.nn.conditions import Condition, check_drop
from feller.core.nn.embeddings import LabelEmbedding, TimeEmbedding, VectorEmbedding

__all__ = ["ClassCondition", "FloatCondition", "ImageCondition", "VectorCondition"]


@tagged("class_condition")
@dataclass(frozen=True, kw_only=True)
class ClassCondition(Condition):
    """A class, integers `(b,)`; -1 for none.

    Attributes:
        classes: Number of classes.
        drop: Fraction of training samples for which the condition is dropped.
    """

    classes: int
    drop: float = 0.1

    def __post_init__(self) -> None:
        """Check the number of classes and the drop rate."""
        check_sizes(self, "classes")
        check_drop(self.drop)

    def build(self, dim: int) -> nn.Module:
        """Make a table with a row for each class, and one for none."""
        return _ClassEmbedding(self.classes, dim)

    def check(self, value: Tensor) -> str:
        """Return whether it is not a class."""
        if value.ndim != 1 or value.is_floating_point():
            return f"whole numbers (b,), not {value.dtype} {tuple(value.shape)}"
        # Looking at values on an accelerator would wait for it in every step.
        high = int(value.max()) if value.device.type == "cpu" and value.numel() else 0
        return f"0 ... {self.classes - 1}, or -1 for none, not {high}" * (high >= self.classes)


@tagged("float_condition")
@dataclass(frozen=True, kw_only=True)
class FloatCondition(Condition):
    """A number, `(b,)`; NaN for none. It is embedded by sinusoids, like the time.

    Attributes:
        scale: Factor on the number: the shortest wave has length 6.3 / scale.
        drop: Fraction of training samples for which the condition is dropped.
    """

    scale: float = 1.0
    drop: float = 0.1

    def __post_init__(self) -> None:
        """Check the drop rate."""
        check_drop(self.drop)

    def build(self, dim: int) -> nn.Module:
        """Make sines and a perceptron."""
        return _FloatEmbedding(self.scale, dim)

    def check(self, value: Tensor) -> str:
        """Return whether it is not a number a sample."""
        right = value.ndim == 1 and value.is_floating_point()
        return "" if right else f"numbers (b,), not {value.dtype} {tuple(value.shape)}"


@tagged("vector_condition")
@dataclass(frozen=True, kw_only=True)
class VectorCondition(Condition):
    """A vector, `(b, size)`, such as a precomputed embedding; NaN for none.

    Attributes:
        size: Length of the vector.
        drop: Fraction of training samples for which the condition is dropped.
    """

    size: int
    drop: float = 0.1

    def __post_init__(self) -> None:
        """Check the size and the drop rate."""
        check_sizes(self, "size")
        check_drop(self.drop)

    def build(self, dim: int) -> nn.Module:
        """Make a perceptron."""
        return VectorEmbedding(self.size, dim)

    def check(self, value: Tensor) -> str:
        """Return whether it has another size."""
        right = value.ndim == 2 and value.shape[1] == self.size and value.is_floating_point()
        what = f"{value.dtype} {tuple(value.shape)}"
        return "" if right else f"numbers (b, {self.size}), not {what}"


@tagged("image_condition")
@dataclass(frozen=True, kw_only=True)
class ImageCondition(Condition):
    """An image, `(b, image_channels, h, w)`; NaN for none. It lies beside the state, of its size.

    Attributes:
        image_channels: Channels of the image; one more marks where it is given.
        drop: Fraction of training samples for which the condition is dropped.
    """

    image_channels: int
    drop: float = 0.1

    def __post_init__(self) -> None:
        """Check the number of channels and the drop rate."""
        check_sizes(self, "image_channels")
        check_drop(self.drop)

    @property
    def channels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Channels beside the state's."""
        return self.image_channels + 1

    def build(self, dim: int) -> nn.Module:
        """Make what turns it into channels."""
        return _Beside(self.image_channels)

    def check(self, value: Tensor) -> str:
        """Return whether it is another image."""
        right = value.ndim == 4 and value.shape[1] == self.image_channels
        shape = tuple(value.shape)
        return "" if right else f"images (b, {self.image_channels}, h, w), not {shape}"


class _ClassEmbedding(nn.Module):
    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.classes, self.embed = classes, LabelEmbedding(classes, dim)

    def forward(self, value: Tensor | None, *, batch: int) -> Tensor:
        label = None if value is None else torch.where(value < 0, self.classes, value)
        return self.embed(label, batch=batch)


class _FloatEmbedding(nn.Module):
    def __init__(self, scale: float, dim: int) -> None:
        super().__init__()
        self.embed = TimeEmbedding(64, dim, time_scale=scale)
        self.null = nn.Parameter(0.02 * torch.randn(dim))

    def forward(self, value: Tensor | None, *, batch: int) -> Tensor:
        if value is None:
            return repeat(self.null, "d -> b d", b=batch)
        known = value.isfinite()
        found = self.embed(torch.where(known, value, 0.0).to(torch.float32))
        return torch.where(known[:, None], found, self.null)


class _Beside(nn.Module):
    """An image as channels of the state's size, and where it is known as one more."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, value: Tensor | None, *, like: Tensor) -> Tensor:
        size = like.shape[-2:]
        if value is None:
            return like.new_zeros(len(like), self.channels + 1, *size)
        known = value.isfinite().all(1, keepdim=True)
        image = torch.where(known, value, 0.0).to(like)
        both = torch.cat([image, known.to(like)], 1)
        return both if both.shape[-2:] == size else F.interpolate(both, size=size, mode="bilinear")
