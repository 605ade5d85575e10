"""Image data: the standard sets, folders, `.npz` files, and a set drawn by formula.

Every source gives uint8 images `(n, h, w, c)` and integer labels. Sets that fit in memory are held
there.
"""

import io
import os
import sys
import textwrap
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from feller.core.checks import check_choices, check_sizes
from feller.core.config import tagged
from feller.core.training import DataConfig
from feller.images.folders import DataError, Facts, FolderImages, open_folder
from feller.images.numbers import chosen_numbers, with_numbers
from feller.images.pixels import Fit, Reading
from feller.images.shapes import draw_shapes
from feller.images.shards import ShardImages, open_shards

__all__ = ["ArrayImages", "DataError", "FolderImages", "ImageData", "npz_arrays"]

SIDE = 28
_EXPANSION, _SMALL = 100, 2**28  # times its size, and bytes, that a file may unpack to

Split = Literal["train", "test"]
Source = Literal["mnist", "fashion-mnist", "cifar10", "npz", "folder", "shards", "drawn"]


@dataclass(frozen=True)
class ArrayImages:
    """Images in memory.

    Attributes:
        images: uint8 `(n, h, w, c)`.
        labels: int64 `(n,)`, or the numbers of conditions, float32 `(n, d)`.
        labelled: Whether the labels are known; otherwise they are zeros.
        columns: The names of the numbers.
    """

    images: Tensor
    labels: Tensor
    labelled: bool = True
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, indices: list[int]) -> tuple[Tensor, Tensor] | tuple[Tensor, Tensor, str]:
        """Return a batch: images and labels; without labels, no names of classes after them."""
        batch = self.images[indices], self.labels[indices]
        return batch if self.labelled else (*batch, "")

    def suited(self) -> "ArrayImages":
        """Return the images as they are."""
        return self

    def facts(self) -> Facts:
        """Return what the images are; classes are called by their numbers."""
        h, w, c = self.images.shape[1:]
        if self.columns:
            return Facts((c, h, w), (), (), columns=self.columns)
        counts = self.labels.bincount().tolist() if self.labelled else []
        return Facts((c, h, w), tuple(map(str, range(len(counts)))), tuple(counts))

    def __str__(self) -> str:
        """Say how many images and labels there are."""
        h, w, c = self.images.shape[1:]
        labels = f"{len(self.labels.unique())} labels" if self.labelled else "no labels"
        labels = f"the numbers {', '.join(self.columns)}" if self.columns else labels
        return f"{len(self)} images of {h} x {w} x {c}, {labels}"


@tagged("image_data")
@dataclass(frozen=True, kw_only=True)
class ImageData(DataConfig):
    """Where images come from, and how they are read.

    Attributes:
        source: A named data set, `npz`, `folder` or `shards` (tar files of the WebDataset layout)
            for your own, `drawn` for generated shapes without files.
        root: The folder of a named set (torchvision's layout, or `fashion_mnist.npz` in it), the
            file of `npz`, the folder of `folder`; of `shards` a folder, a pattern of files
            (`DIR/*.tar`), an address with numbers in braces (`https://HOST/a-{000..099}.tar`) or an
            index of `wids`. `{split}` in it is `train` or `test`; else the last tenth is held out.
        download: Let torchvision download a named set.
        size: Height of images of `folder`, `shards` and `drawn`, in pixels; None infers the size of
            `folder` and `shards` from their images.
        width: Width of images of `folder` and `shards`; None for squares.
        fit: How images of another shape are fitted: `crop`, `pad` with margins, or `stretch`.
        gray: Read images in grayscale.
        background: Colour behind transparent pixels, and in margins, such as `white` or `#808080`.
        conditions: Numeric conditions, instead of classes: columns of the file `metadata.csv` in a
            `folder`, next to `file_name`; `all` for all of them, or for the rows of a
            `conditions.npy` there or of `conditions` in an `npz` file.
    """

    source: Source = "drawn"
    root: str = "data"
    download: bool = False
    size: int | None = SIDE
    width: int | None = None
    fit: Fit = "crop"
    gray: bool = False
    background: str = "white"
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Reject a size below 1, and a width without a height."""
        check_choices(self)
        if self.size is None and self.width is not None:
            raise ValueError(f"width is {self.width} and size None: give both, or neither")
        for name in ("size", "width"):
            if getattr(self, name) is not None:
                check_sizes(self, name)

    def build(self, split: Split = "train") -> ArrayImages | FolderImages | ShardImages:
        """Open one split, and say on standard error what was read.

        Raises:
            DataError: When data are missing or corrupt.
        """
        for name in () if self.source in ("folder", "shards") else ("width", "gray", "fit"):
            if (value := getattr(self, name)) != getattr(ImageData, name):
                raise DataError(f"--data.{name} {value} is for --data.source folder or shards")
        found = _SOURCES[self.source](self, split)
        if isinstance(found, ArrayImages) and self.size not in (None, SIDE, found.images.shape[1]):
            raise DataError(f"--data.size {self.size} is for image files; the data are {found}")
        if self.conditions and not found.columns:
            raise DataError(f"{self.source} has no numbers for conditions: npz and folder may")
        if os.environ.get("RANK", "0") == "0":
            where = self.root if self.source in ("npz", "folder", "shards") else self.source
            print(f"{where}, {split}: {found}", file=sys.stderr)
        return found


def npz_arrays(file: Path, split: Split, conditions: Sequence[str] = ()) -> ArrayImages:
    """Read one split of an `.npz` file.

    The file has `SPLIT_images` and `SPLIT_labels`, or `images` and `labels`, or the bytes of JPEG
    files (`jpeg_header`, `SPLIT_payload`, `SPLIT_offsets`, `SPLIT_labels`). Where conditions are
    asked for, `SPLIT_conditions` or `conditions` are numbers `(n, d)`, called 0 to d - 1.

    Raises:
        DataError: When it is missing, corrupt, or has other arrays.
    """
    if not file.is_file():
        raise DataError(f"{file} is missing; expected an .npz file of uint8 images")
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            _check_expansion(arrays.zip.infolist())
            if f"{split}_payload" in arrays:
                images = _decode_jpegs(arrays, split)
            else:
                images = _first(arrays, f"{split}_images", "images")
            numbers = _first(arrays, f"{split}_conditions", "conditions") if conditions else None
            labelled = f"{split}_labels" in arrays or "labels" in arrays
            labels = _first(arrays, f"{split}_labels", "labels", missing=images)
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    except Exception as error:  # numpy, zipfile, zlib, lzma and Pillow have errors of their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{file} is not a readable .npz file of images: {reason}") from None
    found = _in_memory(images, labels, str(file), labelled=labelled)
    if numbers is None:
        return found
    names = [str(i) for i in range(numbers.shape[-1])] if numbers.ndim == 2 else []
    columns, chosen = chosen_numbers(numbers, names, conditions, len(found), str(file))
    return replace(found, labels=chosen, columns=columns)


def _in_memory(
    images: np.ndarray, labels: np.ndarray, where: str, *, labelled: bool = True
) -> ArrayImages:
    fits = images.dtype == np.uint8 and images.ndim in (3, 4) and images.size > 0
    if not fits or labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise DataError(
            f"{where}: expected uint8 images (n, h, w) or (n, h, w, c) and n whole labels, "
            f"found {images.dtype} {images.shape} and {labels.dtype} {labels.shape}"
        )
    known = labels.astype(np.int64)
    if known.min() < 0:
        raise DataError(f"{where}: labels are 0 and above, not {known.min()}")
    pixels = torch.from_numpy(np.ascontiguousarray(images))
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    return ArrayImages(pixels, torch.from_numpy(known), labelled)


def _check_expansion(parts: list[zipfile.ZipInfo]) -> None:
    """Reject what unpacks to much more than it is, before any of it is unpacked.

    Blank images and pages of text pack well, to a hundredth perhaps. An array that is longer than
    its part says ends in an error of numpy's.
    """
    whole = sum(part.file_size for part in parts)
    packed = sum(part.compress_size for part in parts)
    if whole > max(_SMALL, _EXPANSION * packed):
        raise DataError(
            f"it unpacks to {whole:,} bytes, {whole // max(1, packed)} times its size: if it is "
            "meant to, save it by np.savez, without compression"
        )


def _first(arrays: Any, *names: str, missing: np.ndarray | None = None) -> np.ndarray:
    """Return the first array there is, else a zero for each of what is `missing` labels."""
    for name in names:
        if name in arrays:
            found = arrays[name]
            if not isinstance(found, np.ndarray):  # numpy returns the bytes of what is not an array
                raise DataError(f"{name} in it is not an array of numpy's")
            return found
    if missing is not None:
        return np.zeros(len(missing), dtype=np.int64)
    has = textwrap.shorten(", ".join(arrays) or "none", 200)
    raise DataError(f"none of the arrays {' or '.join(names)}; it has {has}")


def _decode_jpegs(arrays: Any, split: Split) -> np.ndarray:
    from PIL import Image

    header = arrays["jpeg_header"].tobytes()
    payload, ends = arrays[f"{split}_payload"].tobytes(), arrays[f"{split}_offsets"]
    pieces = (payload[a:b] for a, b in pairwise(ends))
    files = (io.BytesIO(header + piece + b"\xff\xd9") for piece in pieces)
    return np.stack([np.asarray(Image.open(file)) for file in files])


def _named(stem: str, dataset: str) -> Callable[[ImageData, Split], ArrayImages]:
    """Read a standard set from an `.npz` file in the root, or else through torchvision."""

    def build(config: ImageData, split: Split) -> ArrayImages:
        for name in (f"{stem}.npz", f"{stem}_jpegbytes.npz"):
            if (Path(config.root) / name).is_file():
                return npz_arrays(Path(config.root) / name, split)
        from torchvision import datasets

        try:
            opened = getattr(datasets, dataset)(
                config.root, train=split == "train", download=config.download
            )
        except Exception as error:  # torchvision asserts, unpickles and downloads
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"{config.root} holds neither {stem}.npz nor torchvision's {dataset} "
                f"({reason}): give --data.root, or --data.download to fetch it"
            ) from None
        return _in_memory(np.asarray(opened.data), np.asarray(opened.targets), config.root)

    return build


def _npz(config: ImageData, split: Split) -> ArrayImages:
    return npz_arrays(Path(config.root), split, config.conditions)


def _folder(config: ImageData, split: Split) -> FolderImages:
    sized = config.size is not None
    found = open_folder(Path(config.root), split, _reading(config), sized=sized)
    return with_numbers(found, config.conditions) if config.conditions else found


def _shards(config: ImageData, split: Split) -> ShardImages:
    return open_shards(config.root, split, _reading(config), sized=config.size is not None)


def _reading(config: ImageData) -> Reading:
    size = config.size or SIDE
    sides = size, config.width or size
    return Reading(sides, gray=config.gray, background=config.background, fit=config.fit)


def _drawn(config: ImageData, split: Split) -> ArrayImages:
    count, seed = (20_000, 0) if split == "train" else (2_000, 1)
    return _in_memory(*draw_shapes(count, config.size or SIDE, seed), "drawn shapes")


_Images = ArrayImages | FolderImages | ShardImages
_SOURCES: Mapping[str, Callable[[ImageData, Split], _Images]] = MappingProxyType(
    {
        "mnist": _named("mnist", "MNIST"),
        "fashion-mnist": _named("fashion_mnist", "FashionMNIST"),
        "cifar10": _named("cifar10", "CIFAR10"),
        "npz": _npz,
        "folder": _folder,
        "shards": _shards,
        "drawn": _drawn,
    }
)
