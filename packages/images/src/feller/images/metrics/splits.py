"""The real images that figures are of: training and test images of a model's data."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from feller.images.data import ImageData

__all__ = ["Splits", "some_of", "splits"]

Images = UInt8[Tensor, "n h w c"]


def some_of(images: Tensor, n: int, seed: int) -> Tensor:
    """Return a few images at random: those of a folder come class by class."""
    rng = torch.Generator().manual_seed(seed)
    return images[torch.randperm(len(images), generator=rng)[:n]]


class Splits(NamedTuple):
    """Real images.

    Attributes:
        known: All training images.
        train: Those of them that are no test images.
        test: Test images.
        held_out: Whether these are not training images.
        labels: The labels of test images, or their numbers, where these are known.
        name: What the data are called.
    """

    known: Images
    train: Images
    test: Images
    held_out: bool
    labels: Int[Tensor, " n"] | Float[Tensor, "n d"] | None
    name: str


def splits(model: Any, data: ImageData) -> Splits:
    """Return the training and the test images of a model's data."""
    (train, _), (test, labels) = (_read(model, data, split) for split in ("train", "test"))
    name = Path(data.root).name if data.source in ("npz", "folder") else data.source
    if not train.equal(test):
        return Splits(train, train, _several(test), True, labels, name)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    known, held_out = order.tensor_split(2)
    name = f"{name}, which has no test split: a random half of what was trained on stands for it"
    known_labels = None if labels is None else labels[held_out]
    return Splits(train, train[known], _several(test[held_out]), False, known_labels, name)


def _several(test: Tensor) -> Tensor:
    """Reject one test image: there is no interval of one."""
    if len(test) < 2:
        raise ValueError(
            f"figures need at least 2 test images, which a random half may be, not {len(test)}"
        )
    return test


def _read(
    model: Any, data: ImageData, split: Literal["train", "test"]
) -> tuple[Images, Tensor | None]:
    """Return all images, which must be such as the model draws, and any labels by its classes."""
    dataset = data.build(split)
    images, labels, *names = dataset[list(range(len(dataset)))]
    model.codec.encode((images[:1], None))
    if not names or not model.codec.classes:
        return images, labels
    return images, model.codec.numbered(labels, names[0]) if names[0] else None
