"""Images in shards: tar files of the WebDataset layout, on the disk or on the web.

A sample has an image (`.jpg`, `.png`, ...) and, where it is labelled, the number of its class: a
file `.cls`, or `label` or `cls` in a file `.json`.
"""

import io
import json
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from feller.core.shards import Shards, find_shards
from feller.images.folders import ENDINGS, DataError, Facts, usual_size
from feller.images.pixels import Header, Reading, read_headers

__all__ = ["ShardImages", "open_shards"]

_IMAGES = tuple(ending.removeprefix(".") for ending in ENDINGS)
_SOME = 64  # samples that are looked at before training


@dataclass(frozen=True)
class ShardImages:
    """Images, read on demand.

    Attributes:
        samples: The shards.
        reading: How images are read.
        labelled: Whether they have labels.
        headers: The headers of some of the images.
    """

    samples: Shards
    reading: Reading
    labelled: bool
    headers: tuple[Header, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def chunks(self) -> np.ndarray:
        """How many images each shard has."""
        return self.samples.chunks

    @property
    def pool(self) -> int:
        """Shards that are read at once."""
        return self.samples.pool

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.samples)

    def __getitem__(self, indices: list[int]) -> tuple[Tensor, Tensor] | tuple[Tensor, Tensor, str]:
        """Read a batch: images and labels; without labels, no names of classes after them.

        Raises:
            DataError: When a sample has no image or no label, or a shard cannot be read.
        """
        samples = self.samples[indices]
        images = np.stack(
            [
                self.reading.read(_image(sample, i))
                for sample, i in zip(samples, indices, strict=True)
            ]
        )
        if not self.labelled:
            return torch.from_numpy(images), torch.zeros(len(indices), dtype=torch.int64), ""
        labels = [_label(sample, i) for sample, i in zip(samples, indices, strict=True)]
        return torch.from_numpy(images), torch.tensor(labels)

    def fingerprint(self) -> dict[str, Any]:
        """Return what distinguishes the images, without reading them."""
        return self.samples.fingerprint()

    def suited(self) -> "ShardImages":
        """Return the images in gray where none that was looked at has colours."""
        gray = bool(self.headers) and all(header.gray for header in self.headers)
        return replace(self, reading=replace(self.reading, gray=True)) if gray else self

    def facts(self) -> Facts:
        """Return what the images are; how many classes there are, no shard says."""
        how = f"scaled, {self.reading.words()}"
        return Facts((1 if self.reading.gray else 3, *self.reading.sides), (), (), how)

    def __str__(self) -> str:
        """Say how many images and shards there are."""
        labels = "with labels" if self.labelled else "without labels"
        return f"{len(self):,} images in {len(self.chunks)} shards, {labels}"


def open_shards(where: str, split: str, reading: Reading, *, sized: bool = True) -> ShardImages:
    """Open the images of shards.

    Args:
        where: As of `feller.core.shards.find_shards`.
        split: `train` or `test`.
        reading: How images are read.
        sized: Whether it specifies the size; otherwise the size is inferred from some of the
            images.

    Raises:
        DataError: When there are none, or they cannot be read.
    """
    samples = Shards(find_shards(where, split))
    if not len(samples):
        raise DataError(f"{where} has no samples")
    some = samples[list(range(min(_SOME, int(samples.chunks[samples.chunks > 0][0]))))]
    headers = tuple(read_headers([_image(sample, i) for i, sample in enumerate(some)]))
    if not sized:
        reading = replace(reading, sides=usual_size(headers))
    labelled = [_label(sample, None) is not None for sample in some]
    if any(labelled) != all(labelled):
        number = labelled.index(False)
        raise DataError(
            f"{where}: sample {number} has no label, and others have: label all or none"
        )
    return ShardImages(samples, reading, labelled[0], headers)


def _image(sample: dict[str, bytes], number: int) -> io.BytesIO:
    """Return the image of a sample as a file, under a name."""
    for ending in _IMAGES:
        if ending in sample:
            file = io.BytesIO(sample[ending])
            file.name = f"sample {number}, .{ending}"
            return file
    raise DataError(f"sample {number} has no image, but {', '.join(sample) or 'nothing'}")


def _whole(label: Any) -> int:
    """Return a label as a number; refuse 1.7, `true` and `1_0`, which `int` would take."""
    if isinstance(label, str) and re.fullmatch(r"\s*[+-]?\d+\s*", label):
        return int(label)
    if isinstance(label, bool) or not isinstance(label, int):
        raise ValueError(f"{label!r} is not a whole number")
    return label


def _label(sample: dict[str, bytes], number: int | None) -> int | None:
    """Return the class of a sample; None without one, where no number is given to name it."""
    try:
        if "cls" in sample:
            return _whole(sample["cls"].decode("ascii"))
        described = json.loads(sample["json"]) if "json" in sample else {}
        found = (
            described.get("label", described.get("cls")) if isinstance(described, dict) else None
        )
        if found is not None or number is None:
            return None if found is None else _whole(found)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise DataError(f"sample {number or 0} has a label that is not a whole number") from None
    raise DataError(f"sample {number} has no label, and others have: label all or none")
