"""Grids of images: each where it belongs, and white between."""

import numpy as np
import pytest
import torch
from PIL import Image

from feller.images.plots import grid, save_grid


def numbered(n, shape=(2, 3, 1)):
    """Images that hold their number."""
    return torch.arange(n, dtype=torch.uint8).reshape(n, 1, 1, 1).expand(n, *shape).contiguous()


def test_images_are_laid_out_in_rows():
    sheet = grid(numbered(5), columns=3, gap=1)
    assert sheet.shape == (2 * 3 + 1, 3 * 4 + 1, 1)
    assert sheet.dtype == torch.uint8
    for i in range(5):
        top, left = 1 + 3 * (i // 3), 1 + 4 * (i % 3)
        assert (sheet[top : top + 2, left : left + 3] == i).all()
    assert (sheet == 255).sum() == sheet.numel() - 5 * 6
    assert (sheet[4:, 9:] == 255).all()  # the position of a sixth


def test_a_few_images_make_a_narrow_grid():
    assert grid(numbered(2), columns=8, gap=0).shape == (2, 6, 1)
    assert grid(numbered(1), gap=0).shape == (2, 3, 1)


def test_colours_stay():
    sheet = grid(torch.tensor([10, 20, 30], dtype=torch.uint8).expand(4, 2, 2, 3), columns=2, gap=3)
    assert sheet.shape == (13, 13, 3)
    assert sheet[3, 3].tolist() == [10, 20, 30]


def test_no_images_make_no_grid():
    with pytest.raises(ValueError, match="at least one image"):
        grid(numbered(0))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_small_images_are_enlarged(channels, mode, tmp_path):
    images = numbered(4, (16, 16, channels))
    save_grid(images, tmp_path / "a.png", columns=2)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == mode
        pixels = np.asarray(picture).reshape(*picture.size, channels)
    sheet = grid(images, columns=2).numpy()
    assert pixels.shape == (4 * 38, 4 * 38, channels)
    for i in range(4):
        assert np.array_equal(pixels[i::4, i::4], sheet)


def test_large_images_are_not(tmp_path):
    save_grid(numbered(1, (65, 65, 1)), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (69, 69)


@pytest.mark.parametrize("columns", [0, -1])
def test_a_grid_has_a_column(columns):
    with pytest.raises(ValueError, match=f"a grid has at least one column, not {columns}"):
        grid(numbered(3), columns=columns)
