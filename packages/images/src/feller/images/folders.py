"""Folders of images: which files are used, their classes, and how each is read.

The folders in a root are classes, or splits if all that hold images are named `train`, `val` or
`test`; a class may have subfolders. Every file's header is read at the start, so that unusable
files are reported before the first step.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from feller.images.pixels import DataError, Header, Reading, read_headers

__all__ = ["ENDINGS", "DataError", "Facts", "FolderImages", "open_folder", "usual_size"]


ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2"),
)
_SPLITS = {"train": ("train", "training"), "test": ("test", "val", "valid", "validation")}
_MULTIPLE = 4  # as networks halve the sides twice at least


class Facts(NamedTuple):
    """Properties of the data that determine a model.

    Attributes:
        shape: Channels, height, width.
        classes: The names of the classes; empty without labels.
        counts: How many images each class has.
        how: How files are read, in words.
        columns: The names of the numeric conditions, instead of classes.
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    how: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class FolderImages:
    """Files, read on demand; only the first frame of each.

    Attributes:
        files: The image files and their labels.
        classes: The names of the classes.
        reading: How each is read.
        headers: The headers of the files.
        passed: What was skipped, in words.
        home: The folder that they are in.
        numbers: Numeric conditions `(n, d)`, instead of classes.
        columns: The names of the numbers.
    """

    files: tuple[tuple[Path, int], ...]
    classes: tuple[str, ...]
    reading: Reading
    headers: tuple[Header, ...] = ()
    passed: str = ""
    home: Path = Path()
    numbers: Tensor | None = None
    columns: tuple[str, ...] = ()

    @property
    def labels(self) -> Tensor:
        """The labels of all images, or their numbers."""
        if self.numbers is not None:
            return self.numbers
        return torch.tensor([label for _, label in self.files])

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def __getitem__(self, indices: list[int]) -> tuple[Tensor, Tensor, str] | tuple[Tensor, Tensor]:
        """Read a batch: images, labels, and the names of the classes, a line each; or numbers.

        Raises:
            DataError: When a file is not an image.
        """
        images = np.stack([self.reading.read(self.files[i][0]) for i in indices])
        if self.numbers is not None:
            return torch.from_numpy(images), self.numbers[indices]
        labels = torch.tensor([self.files[i][1] for i in indices])
        return torch.from_numpy(images), labels, "\n".join(self.classes)

    def __str__(self) -> str:
        """Return the number of images and classes, and what was skipped, in words."""
        some = ", ".join(self.classes[:10]) + ", ..." * (len(self.classes) > 10)
        classes = f"in {len(self.classes)} classes ({some})" if self.classes else "without classes"
        classes = f"with the numbers {', '.join(self.columns)}" if self.columns else classes
        return f"{len(self)} images {classes}{self.passed and f'; skipped: {self.passed}'}"

    def suited(self) -> "FolderImages":
        """Return the images in gray where no file has colours."""
        gray = bool(self.headers) and all(header.gray for header in self.headers)
        return replace(self, reading=replace(self.reading, gray=True)) if gray else self

    def facts(self) -> Facts:
        """Return what the images are, as they are read."""
        sizes = sorted({(h.height, h.width) for h in self.headers}, key=np.prod)
        how = ""
        if sizes and sizes != [self.reading.sides]:
            some = " to ".join(f"{h} x {w}" for h, w in sizes[:: max(1, len(sizes) - 1)])
            how = f"scaled from {some}, {self.reading.words()}"
        counts = Counter(label for _, label in self.files)
        of = tuple(counts[i] for i in range(len(self.classes)))
        return Facts(
            (1 if self.reading.gray else 3, *self.reading.sides),
            self.classes,
            of,
            how,
            self.columns,
        )


def usual_size(headers: Sequence[Header], most: int = 64) -> tuple[int, int]:
    """Return a height and width for images such that few are enlarged and no side is long.

    If three in four have nearly the same shape, it is that; otherwise a square.

    Args:
        headers: The headers of the files.
        most: Maximum of the longer side.

    Example:
        >>> photographs = [Header(300, 400, False, False)] * 9 + [Header(400, 300, False, False)]
        >>> usual_size(photographs)
        (48, 64)
    """
    heights, widths = np.array([(h.height, h.width) for h in headers], dtype=float).T
    usual = float(np.clip(np.median(widths / heights), 1 / 4, 4))
    alike = np.abs(np.log(widths / heights / usual)) < np.log(1.1)
    ratio = usual if alike.mean() >= 0.75 else 1.0
    height = float(np.quantile(np.minimum(heights, widths / ratio), 0.1))
    height = min(height, most, most / ratio)
    return _rounded(height), _rounded(height * ratio)


def _rounded(side: float) -> int:
    return max(2 * _MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE)


def open_folder(root: Path, split: str, reading: Reading, *, sized: bool = True) -> FolderImages:
    """Find the images of one split of a folder, and read their headers.

    Args:
        root: The folder.
        split: `train` or `test`; of a root without splits, all images are both.
        reading: How they are read.
        sized: Whether it specifies the size; otherwise the size is inferred from the images.

    Raises:
        DataError: When there are none, their classes are ambiguous, or files cannot be used.
    """
    home = _split_of(root, split)
    holding = {name: list(_files(home / name)) for name in _folders(home)}
    classes = tuple(name for name, files in holding.items() if any(map(_counts, files)))
    for name in classes:
        if len(name.splitlines()) > 1:
            raise DataError(f"a class has a name of one line, not {name!r}: rename its folder")
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
    headers = tuple(read_headers([file for file, _ in files]))
    if frames := sum(header.frames for header in headers):
        passed = ", ".join([*[passed] * bool(passed), f"all but the first frame of {frames} files"])
    if not sized:
        reading = replace(reading, sides=usual_size(headers))
    return FolderImages(tuple(files), classes, reading, headers, passed, home)


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
    for folder, folders, names in os.walk(home, followlinks=True, onerror=_unlisted):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _hidden(name))
        yield from (Path(folder, name) for name in sorted(names) if not _hidden(name))


def _unlisted(error: OSError) -> None:
    """Reject a folder that cannot be opened, which would count as empty."""
    raise DataError(f"{error.filename} cannot be opened: {error.strerror}")


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
