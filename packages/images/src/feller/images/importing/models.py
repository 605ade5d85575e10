"""A network and a process of others as an image model."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from feller.core.importing import Imported
from feller.images.codec import ImageCodec
from feller.images.importing.processes import Process
from feller.images.models import ImageModelConfig

__all__ = ["Labels", "image_model", "sides"]


class Labels(NamedTuple):
    """What a network knows of labels.

    Attributes:
        classes: How many.
        null: Whether its row for no label is trained.
    """

    classes: int = 0
    null: bool = False


def image_model(
    network: Any,
    state: Mapping[str, Tensor],
    process: Process,
    size: tuple[int, int],
    *,
    labels: Labels,
    reading: Mapping[str, str],
) -> Imported:
    """Return the image model of a network and a process.

    Args:
        network: Our configuration of the network, its time scale left open.
        state: Its weights under our names.
        process: What it was trained on.
        size: Height and width of the images.
        labels: What it knows of labels.
        reading: What is to be said besides of the process.
    """
    classes = tuple(str(i) for i in range(labels.classes))
    config = ImageModelConfig(
        network=process.timed(network),
        codec=ImageCodec((network.in_channels, *size), classes),
        path=process.path,
        head=process.head,
        condition_drop=0.0 if labels.classes and not labels.null else None,
    )
    images = f"{network.in_channels} x {size[0]} x {size[1]}, numbers in [-1, 1]"
    if network.in_channels == 4:
        images += "; of 4 channels, they look like latents, which their own decoder turns to images"
    names = f", {labels.classes} classes by number" * bool(labels.classes)
    read = {**process.described(), "images": images + names, **reading}
    return Imported(
        config=config,
        state={f"model.network.{name}": value for name, value in state.items()},
        reading=read,
    )


def sides(size: Any) -> tuple[int, int]:
    """Return height and width of what says one number, or both.

    Raises:
        ValueError: When it says neither.

    Example:
        >>> sides(32), sides([16, 24])
        ((32, 32), (16, 24))
    """
    both = (size, size) if isinstance(size, int) else tuple(size)
    if len(both) != 2 or not all(isinstance(side, int) and side > 0 for side in both):
        raise ValueError(f"a size is one number or height and width, not {size!r}")
    return both
