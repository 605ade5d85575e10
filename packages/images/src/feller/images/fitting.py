"""A model that is sized by its data: channels, size and classes are read off the images.

The network of a side s works on 2 x 2 patches, larger ones beyond 64 pixels, and halves the sides
until they have about 8 cells; so a step costs much the same at every size.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.config import tagged
from feller.core.heads import FlowHead, Head
from feller.core.paths import GaussianPath
from feller.core.spaces import Euclidean
from feller.core.training import Completed, ModelConfig, Recipe
from feller.images.codec import ImageCodec
from feller.images.folders import Facts
from feller.images.models import ImageModelConfig
from feller.images.networks import UNetConfig

__all__ = ["FittedModelConfig", "suited_network"]

_WIDTHS = (48, 96, 192, 192)
_CELLS = 1024  # that attend to each other at most
_FEW = 500


@tagged("images/fitted")
@dataclass(frozen=True, kw_only=True)
class FittedModelConfig(ModelConfig):
    """An image model whose size and classes are those of the data, with a U-Net that suits them.

    Attributes:
        path: The conditional path.
        head: How the network's output is read.
        flip: Whether training mirrors half of the images left to right; if None, colour images
            only.
        channels: Width of each level of the network; if empty, chosen by the size.
        labels: Whether the model learns classes, if there are several.
    """

    path: GaussianPath = field(default_factory=lambda: GaussianPath(Euclidean(3)))
    head: Head = field(default_factory=FlowHead)
    flip: bool | None = None
    channels: tuple[int, ...] = ()
    labels: bool = True
    sized_by_data: ClassVar[bool] = True

    def build(self) -> Any:
        """Refuse: there are no data yet.

        Raises:
            ValueError: Always.
        """
        raise ValueError("this model is sized by its data: train its recipe, which reads them")

    def completed(self, recipe: Recipe, data: Any) -> Completed:
        """Return the recipe of a model of these images.

        Raises:
            ValueError: When no network has such sides.
        """
        data = data.suited()
        facts: Facts = data.facts()
        labels = self.labels and len(facts.classes) > 1
        classes = facts.classes if labels else ()
        flip = facts.shape[0] > 1 if self.flip is None else self.flip
        network = suited_network(facts.shape, len(classes), self.channels)
        codec = ImageCodec(facts.shape, classes, flip=flip)
        if facts.columns:
            network = replace(network, condition_size=len(facts.columns))
            codec = _with_numbers(codec, facts.columns, data.labels)
        model = ImageModelConfig(network=network, codec=codec, path=self.path, head=self.head)
        known = labels or facts.columns
        training = recipe.training if known else replace(recipe.training, condition_drop=0.0)
        read = _read_so(recipe.data, facts)
        found = replace(recipe, model=model, data=read, training=training)
        return Completed(found, data, "\n".join(_said(facts, codec, network, len(data))))


def _with_numbers(codec: ImageCodec, columns: tuple[str, ...], numbers: Tensor) -> ImageCodec:
    """Return a codec that shows the network numbers of mean 0 and standard deviation 1."""
    stds, means = torch.std_mean(numbers.double(), dim=0, correction=0)
    stds = stds.where(stds > 0, 1.0)  # one that is the same for all images says nothing
    return replace(codec, numbers=columns, means=tuple(means.tolist()), stds=tuple(stds.tolist()))


def suited_network(
    shape: tuple[int, int, int], classes: int, channels: tuple[int, ...] = ()
) -> UNetConfig:
    """Return a U-Net for images of a shape.

    Args:
        shape: Channels, height, width.
        classes: How many classes there are.
        channels: Width of each level; empty for what suits the size.

    Raises:
        ValueError: When the sides cannot be halved so often that the rest can attend to itself.

    Example:
        >>> found = suited_network((3, 48, 64), 2)
        >>> found.patch_size, found.channels, found.side_multiple
        (2, (48, 96, 192), 8)
    """
    count, sides = shape[0], shape[1:]
    patch = 1
    while patch == 1 or max(sides) > 32 * patch:
        patch *= 2
    levels = len(channels) or next(
        n for n in range(2, 5) if max(sides) <= 8 * patch * 2 ** (n - 1) or n == 4
    )
    while patch > 1 and any(side % (patch * 2 ** (levels - 1)) for side in sides):
        if not channels and levels > 2:
            levels -= 1
        else:
            patch //= 2
    multiple = patch * 2 ** (levels - 1)
    cells = sides[0] * sides[1] / multiple**2
    if any(side % multiple for side in sides) or cells > _CELLS:
        raise ValueError(_sides_refused(sides))
    return UNetConfig(
        in_channels=count,
        out_channels=count,
        channels=channels or _WIDTHS[:levels],
        blocks_per_level=1,
        attention_levels=(levels - 1,),
        head_channels=None if channels else 24,
        num_classes=classes,
        patch_size=patch,
        norm_groups=8,
    )


def _sides_refused(sides: tuple[int, ...]) -> str:
    right = [max(8, round(side / 8) * 8) for side in sides]
    return (
        f"a network halves the sides of images several times, which {sides[0]} x {sides[1]} do "
        f"not allow: give --data.size {right[0]} --data.width {right[1]}"
    )


def _read_so(data: Any, facts: Facts) -> Any:
    """Return where the data are with what was read off them, where they are scaled as asked."""
    if getattr(data, "source", "") not in ("folder", "shards"):
        return data
    gray, size, width = facts.shape[0] == 1, *facts.shape[1:]
    return replace(data, gray=gray, size=size, width=None if width == size else width)


def _said(facts: Facts, codec: ImageCodec, network: UNetConfig, images: int) -> list[str]:
    """Say what was chosen, and how to choose otherwise."""
    count, height, width = facts.shape
    kind = {1: "gray", 3: "RGB"}.get(count, f"{count} channels")
    lines = [f"images: {height} x {width} pixels, {kind}" + f", {facts.how}" * bool(facts.how)]
    named = [f"{name} {n}" for name, n in zip(facts.classes, facts.counts, strict=True)]
    some = ", ".join(named[:10]) + ", ..." * (len(named) > 10)
    lines += [f"classes: {some}" if codec.classes else "classes: none"]
    if codec.flip:
        lines += ["half of the images mirrored left to right (--model.flip False leaves them)"]
    widths = ", ".join(map(str, network.channels))
    lines += [f"network: U-Net on patches of {network.patch_size}, channels {widths}"]
    if images < _FEW:
        lines += [f"{images} images are few: expect copies of them"]
    return lines
