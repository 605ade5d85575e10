"""Folders of images: which files count, what their classes are, and how each is read.

The folders in a root are classes, or else splits where all that hold images are named so (`train`,
`val`, `test`); a class may have folders of its own. Every file's header is read at the start, so
that what cannot be used is told before the first step.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["ENDINGS", "DataError", "FolderImages", "open_folder"]

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2"),
)
_SPLITS = {"train": ("train", "training"), "test": ("test", "val", "valid", "validation")}
_TAIL = 65_536
_LAST = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}  # what stands at the end of a whole file


class DataError(ValueError):
    """A data file is missing or is not what was expected."""


@dataclass(frozen=True)
class FolderImages:
    """Files read as they are used; of several frames, the first.

    Attributes:
        files: The image files and their labels.
        classes: The names of the classes.
        size: Side to which images are cut and scaled.
        mode: Pillow's name of the pixel format: `L` or `RGB`.
        background: The colour behind transparent pixels, as Pillow names it.
        passed: What was passed over, in words.
    """

    files: tuple[tuple[Path, int], ...]
    classes: tuple[str, ...]
    size: int
    mode: str
    background: str = "white"
    passed: str = ""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def __getitem__(self, indices: list[int]) -> tuple[Tensor, Tensor, str]:
        """Read a batch: images, labels, and the names of the classes, a line each.

        Raises:
            DataError: When a file is not an image.
        """
        images = np.stack([self._read(self.files[i][0]) for i in indices])
        labels = torch.tensor([self.files[i][1] for i in indices])
        return torch.from_numpy(images), labels, "\n".join(self.classes)

    def __str__(self) -> str:
        """Say how many images and classes there are, and what was passed over."""
        some = ", ".join(self.classes[:10]) + ", ..." * (len(self.classes) > 10)
        classes = f"in {len(self.classes)} classes ({some})" if self.classes else "without classes"
        return f"{len(self)} images {classes}{self.passed and f'; passed over: {self.passed}'}"

    def _read(self, file: Path) -> np.ndarray:
        from PIL import Image, ImageOps

        try:
            with Image.open(file) as image:
                _check_pixels(image)
                opaque = _opaque(ImageOps.exif_transpose(image), self.background)
                square = ImageOps.fit(opaque.convert(self.mode), (self.size, self.size))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(_unreadable(file, error)) from None
        pixels = np.asarray(square)
        return pixels[..., None] if pixels.ndim == 2 else pixels


def open_folder(
    root: Path, split: str, *, size: int, gray: bool, background: str = "white"
) -> FolderImages:
    """Find the images of one split of a folder, and read their headers.

    Args:
        root: The folder.
        split: `train` or `test`; of a root without splits, all images are both.
        size: Side to which images are cut and scaled.
        gray: Whether they are read in gray.
        background: The colour behind transparent pixels, such as `white` or `#808080`.

    Raises:
        DataError: When there are none, it is not clear what their classes are, or files cannot be
            used.
    """
    from PIL import ImageColor

    try:
        ImageColor.getrgb(background)
    except ValueError:
        raise DataError(
            f"background is a colour such as white or #808080, not {background!r}"
        ) from None
    home = _split_of(root, split)
    holding = {name: list(_files(home / name)) for name in _folders(home)}
    classes = tuple(name for name, files in holding.items() if any(map(_counts, files)))
    beside = sorted(file for file in home.iterdir() if file.is_file() and not _hidden(file.name))
    loose = [file for file in beside if _counts(file)]
    if classes and loose:
        raise DataError(
            f"{home} has images, {loose[0].name}, beside the folders of classes, {classes[0]}: "
            "give each a folder"
        )
    files = [(file, i) for i, name in enumerate(classes) for file in holding[name] if _counts(file)]
    files = files or [(file, 0) for file in loose]
    if not files:
        raise DataError(f"{home} has no images ({', '.join(sorted(ENDINGS))})")
    others = [file for found in (beside, *holding.values()) for file in found if not _counts(file)]
    passed = _passed_over(others, [name for name in holding if name not in classes])
    frames = _check_headers([file for file, _ in files])
    if frames:
        passed = ", ".join([*[passed] * bool(passed), f"all but the first frame of {frames} files"])
    return FolderImages(tuple(files), classes, size, "L" if gray else "RGB", background, passed)


def _split_of(root: Path, split: str) -> Path:
    """Return the folder of a split, or the root where its folders are not splits."""
    if not root.is_dir():
        raise DataError(f"{root} is not a folder of images")
    known = {name for names in _SPLITS.values() for name in names}
    holding = [name for name in _folders(root) if any(map(_counts, _files(root / name)))]
    named = [name for name in holding if name.lower() in known]
    if not named:
        return root
    if len(named) < len(holding):
        if len(named) > 1:
            other = next(name for name in holding if name not in named)
            raise DataError(
                f"{root} has folders {' and '.join(named)} beside {other}: splits stand without "
                "classes beside them, and classes have other names"
            )
        return root
    for name in _SPLITS[split]:
        for folder in named:
            if folder.lower() == name:
                return root / folder
    raise DataError(f"{root / split} is not a folder of images")


def _folders(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir() if p.is_dir() and not _hidden(p.name))


def _files(home: Path) -> Iterator[Path]:
    """Yield all files below a folder in order, hidden ones left out, links followed once."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(home, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _hidden(name))
        yield from (Path(folder, name) for name in sorted(names) if not _hidden(name))


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or name in ("Thumbs.db", "desktop.ini")


def _counts(file: Path) -> bool:
    return file.suffix.lower() in ENDINGS


def _passed_over(files: list[Path], folders: list[str]) -> str:
    kinds = Counter(file.suffix.lower() or "no ending" for file in files)
    words = [f"{len(files)} other files ({', '.join(sorted(kinds)[:5])})"] if files else []
    if folders:
        words.append(f"folders without images ({', '.join(folders[:5])})")
    return ", ".join(words)


def _check_headers(files: list[Path]) -> int:
    """Return how many files have several frames.

    Raises:
        DataError: When files are no images, are cut short, or hold what cannot be shown as bytes.
    """
    faults, frames = [], 0
    for file in files:
        try:
            frames += _has_frames(file)
        except DataError as error:
            faults.append(str(error))
    if faults:
        more = f" (and {len(faults) - 1} more of {len(files)})" if len(faults) > 1 else ""
        raise DataError(f"{faults[0]}{more}; mend or remove such files")
    return frames


def _has_frames(file: Path) -> bool:
    """Say whether a file has several frames; refuse it as far as its header and end tell.

    Raises:
        DataError: When it cannot be used.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            _check_pixels(image)
            last = _LAST.get(image.format or "")
            if last and last not in _tail(file):
                image.load()  # it may be whole, with much behind it
            return bool(getattr(image, "is_animated", False))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(_unreadable(file, error)) from None


def _tail(file: Path) -> bytes:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _TAIL))
        return stream.read()


def _unreadable(file: Path, error: Exception) -> str:
    return f"{file} is not a readable image: {' '.join(str(error).split())}"


def _check_pixels(image: Any) -> None:
    """Refuse numbers of which it is not known what is white: floats, and 32 or 12 bits."""
    if image.mode == "LAB":
        raise ValueError("it is in Lab colours: convert it to RGB first")
    if image.mode[0] not in "IF":
        return
    tags = getattr(image, "tag_v2", None)
    if tags is None:  # PNG, PPM and JPEG 2000 say that they have 16 bits
        if image.mode[0] == "F" or image.format not in ("PNG", "PPM", "JPEG2000"):
            raise ValueError(f"it has pixels of mode {image.mode}: convert it to 8 bits first")
    elif tags.get(258, (1,))[0] != 16 or tags.get(339, (1,))[0] != 1 or tags.get(262, 1) != 1:
        raise ValueError("it is a TIFF of floats, or not of 16 bits: convert it to 8 bits first")


def _opaque(image: Any, background: str) -> Any:
    """Return an image of 8 bits without transparency: 16 bits scaled, the background shown."""
    from PIL import Image

    if image.mode[0] == "I":
        numbers = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((numbers * 255 + 32_767) // 65_535).astype(np.uint8))
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image
    over = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", over.size, background), over)
