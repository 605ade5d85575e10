"""Pictures of images."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Int, UInt8
from torch import Tensor

__all__ = [
    "MOST_CHANNELS",
    "Images",
    "grid",
    "in_columns",
    "save_classes",
    "save_film",
    "save_grid",
    "save_strip",
    "sheet_png",
]

MOST_CHANNELS = 4
"""What a PNG holds: gray or colours, with or without transparency."""
SHOWN = 64
"""Images that a notebook shows."""
MOST_COLUMNS = 20
"""Classes that a grid shows side by side."""
_HEAD, _FONT = 18, 12  # pixels
_FRAME, _LAST = 80, 2_000  # milliseconds


class Images(Tensor):
    """Images `(n, h, w, c)` of bytes, of which a notebook shows a grid; else a plain tensor.

    Example:
        >>> images = torch.zeros(3, 4, 4, 1, dtype=torch.uint8).as_subclass(Images)
        >>> images._repr_png_()[1:4], type(images.float())
        (b'PNG', <class 'torch.Tensor'>)
    """

    # What is computed of them is a tensor.
    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore[reportAssignmentType]

    def _repr_png_(self) -> bytes | None:
        """Return a grid of the first ones; None where a PNG does not hold the channels."""
        if self.ndim != 4 or not len(self) or self.shape[-1] > MOST_CHANNELS:
            return None
        file = BytesIO()
        _picture(self[:SHOWN].cpu(), 8).save(file, "PNG")
        return file.getvalue()


def grid(
    images: UInt8[Tensor, "n h w c"], *, columns: int = 8, gap: int = 2
) -> UInt8[Tensor, "height width c"]:
    """Lay images out in rows, with a gap around each.

    Raises:
        ValueError: When there are none, or no column.

    Example:
        >>> grid(torch.zeros(3, 4, 4, 1, dtype=torch.uint8), columns=2, gap=1).shape
        torch.Size([11, 11, 1])
    """
    n, h, w, c = images.shape
    if n == 0:
        raise ValueError("a grid shows at least one image")
    if columns < 1:
        raise ValueError(f"a grid has at least one column, not {columns}")
    columns = min(columns, n)
    rows = -(-n // columns)
    tiles = torch.full((rows * columns, h + gap, w + gap, c), 255, dtype=torch.uint8)
    tiles[:n, :h, :w] = images
    sheet = rearrange(tiles, "(r k) h w c -> (r h) (k w) c", k=columns)
    return torch.nn.functional.pad(sheet, (0, 0, gap, 0, gap, 0), value=255)


def save_grid(images: UInt8[Tensor, "n h w c"], file: Path, *, columns: int = 8) -> None:
    """Write a grid as PNG, small images enlarged."""
    _picture(images, columns).save(file)


def save_classes(
    images: UInt8[Tensor, "n h w c"], labels: Int[Tensor, " n"], file: Path, names: tuple[str, ...]
) -> None:
    """Write a grid as PNG whose columns are classes, with their names; a plain one of many classes.

    Args:
        images: The images.
        labels: The class of each.
        file: Where to write.
        names: The names of all classes.
    """
    _sheet(images, labels, names).save(file)


def sheet_png(
    images: UInt8[Tensor, "n h w c"], labels: Int[Tensor, " n"] | None, names: tuple[str, ...]
) -> bytes:
    """Return a grid as the bytes of a PNG, with a column for each class where there are labels.

    Example:
        >>> sheet_png(torch.zeros(3, 4, 4, 1, dtype=torch.uint8), None, ())[1:4]
        b'PNG'
    """
    file = BytesIO()
    _sheet(images, labels, names).save(file, "PNG")
    return file.getvalue()


def save_film(
    frames: UInt8[Tensor, "t n h w c"],
    labels: Int[Tensor, " n"] | None,
    file: Path,
    names: tuple[str, ...],
) -> None:
    """Write grids one after the other as an animated WebP without loss; the last one stays longer.

    Args:
        frames: The images at each time.
        labels: The class of each, where they have one.
        file: Where to write.
        names: The names of all classes.
    """
    first, *others = (_sheet(images, labels, names).convert("RGB") for images in frames)
    duration = [_FRAME] * len(others) + [_LAST]
    options = {"duration": duration, "loop": 0, "lossless": True}
    first.save(file, save_all=True, append_images=others, **options)


def save_strip(
    frames: UInt8[Tensor, "t n h w c"], labels: Int[Tensor, " n"] | None, file: Path
) -> tuple[int, int]:
    """Write grids one below the other as one PNG, for a page that steps through them.

    Args:
        frames: The images at each time.
        labels: The class of each, a column of the grids each; eight columns where there are none.
        file: Where to write.

    Returns:
        The width and height of one grid.
    """
    from PIL import Image

    if labels is None or len(labels.unique()) > MOST_COLUMNS:
        sheets = torch.stack([grid(images, columns=8) for images in frames])
    else:
        columns = len(labels.unique())
        sheets = torch.stack([grid(in_columns(f, labels), columns=columns) for f in frames])
    _, height, width, _ = sheets.shape
    strip = rearrange(sheets, "t h w c -> (t h) w c").squeeze(-1)
    Image.fromarray(strip.numpy()).save(file, optimize=True)
    return width, height


def _sheet(images: Tensor, labels: Tensor | None, names: tuple[str, ...]) -> Any:
    """Return a grid, a column for each class where there are labels and not too many."""
    shown = [] if labels is None else labels.unique().tolist()
    if labels is None or len(shown) > MOST_COLUMNS:
        return _picture(images, 8)
    sheet = _picture(in_columns(images, labels), len(shown))
    return _titled(sheet, [names[label] for label in shown])


def in_columns(
    images: UInt8[Tensor, "n h w c"], labels: Int[Tensor, " n"]
) -> UInt8[Tensor, "m h w c"]:
    """Return images such that each class is a column of a grid, white where it has fewer.

    Example:
        >>> images = torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1)
        >>> in_columns(images, torch.tensor([4, 2, 4])).flatten()
        tensor([  1,   0, 255,   2], dtype=torch.uint8)
    """
    classes, column, counts = labels.unique(return_inverse=True, return_counts=True)
    tiles = images.new_full((int(counts.max()), len(classes), *images.shape[1:]), 255)
    for i in range(len(classes)):
        tiles[: counts[i], i] = images[column == i]
    return tiles.flatten(0, 1)


def _picture(images: UInt8[Tensor, "n h w c"], columns: int) -> Any:
    from PIL import Image

    sheet = grid(images, columns=columns)
    zoom = max(1, 64 // images.shape[1])
    sheet = sheet.repeat_interleave(zoom, 0).repeat_interleave(zoom, 1)
    return Image.fromarray(sheet.squeeze(-1).numpy())


def _titled(sheet: Any, names: Sequence[str]) -> Any:
    """Put names over columns, cut to their width."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_FONT)
    white, black = ("white", "black") if len(sheet.mode) > 2 else (255, 0)  # LA has no names
    titled = Image.new(sheet.mode, (sheet.width, sheet.height + _HEAD), white)
    titled.paste(sheet, (0, _HEAD))
    draw, width = ImageDraw.Draw(titled), sheet.width / len(names)
    for i, name in enumerate(names):
        while name and draw.textlength(name, font) > width - 2:
            name = name[:-1]
        draw.text(((i + 0.5) * width, _HEAD / 2), name, fill=black, font=font, anchor="mm")
    return titled
