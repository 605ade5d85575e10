"""Pictures of images."""

from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

__all__ = ["MOST_CHANNELS", "grid", "save_grid"]

MOST_CHANNELS = 4
"""What a PNG holds: gray or colours, with or without transparency."""


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
    from PIL import Image

    sheet = grid(images, columns=columns)
    zoom = max(1, 64 // images.shape[1])
    sheet = sheet.repeat_interleave(zoom, 0).repeat_interleave(zoom, 1)
    pixels = sheet.squeeze(-1).numpy()
    Image.fromarray(pixels).save(file)
