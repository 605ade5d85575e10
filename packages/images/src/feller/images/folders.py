"""Folders of images: which files count, what their classes are, and how each is read.

The folders in a root are classes, or else splits where all that hold images are named so (`train`,
`val`, `test`); a class may have folders of its own. Every file's header is read at the start, so
that what cannot be used is reported before the first step.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from feller.images.pixels import DataError, check_headers, opaque, opened, upright

__all__ = ["ENDINGS", "DataError", "FolderImages", "open_folder"]

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2"),
)
_SPLITS = {"train": ("train", "training"), "test": ("test", "val", "valid", "validation")}


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

    @property
    def labels(self) -> Tensor:
        """The labels of all images."""
        return torch.tensor([label for _, label in self.files])

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
        from PIL import ImageOps

        with opened(file) as image:
            plain = opaque(upright(image), self.background)
            square = ImageOps.fit(plain.convert(self.mode), (self.size, self.size))
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
    frames = check_headers([file for file, _ in files])
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
    for folder, folders, names in os.walk(home, followlinks=True, onerror=_unlisted):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _hidden(name))
        yield from (Path(folder, name) for name in sorted(names) if not _hidden(name))


def _unlisted(error: OSError) -> None:
    """Refuse a folder that cannot be looked into, which would count as empty."""
    raise DataError(f"{error.filename} cannot be looked into: {error.strerror}")


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
