"""Grids of images: each where it belongs, and white between."""

import numpy as np
import pytest
import torch
from PIL import Image

from feller.images.plots import grid, in_columns, save_classes, save_grid


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


def test_classes_are_columns():
    labels = torch.tensor([1, 0, 1, 5, 0, 1])
    tiles = in_columns(numbered(6), labels)
    assert tiles[:, 0, 0, 0].tolist() == [1, 0, 3, 4, 2, 255, 255, 5, 255]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_columns_have_the_names_of_their_classes(channels, mode, tmp_path):
    labels = torch.tensor([2, 0, 2, 0])
    names = ("cat", "dog", "a name that is longer than its column is wide")
    save_classes(numbered(4, (64, 64, channels)), labels, tmp_path / "a.png", names)
    save_grid(in_columns(numbered(4, (64, 64, channels)), labels), tmp_path / "b.png", columns=2)
    with Image.open(tmp_path / "a.png") as titled, Image.open(tmp_path / "b.png") as plain:
        assert titled.mode == plain.mode == mode
        height = titled.height - plain.height
        whole, sheet = np.asarray(titled), np.asarray(plain)
        assert np.array_equal(whole[height:], sheet)
        head = np.asarray(titled.convert("RGBA").convert("L"))[:height]
    assert head[:, :67].min() < 100 and head[:, 67:].min() < 100  # both have a name
    assert (head[:, 66:67] == 255).all()  # the long one does not reach into the other
    blank = tmp_path / "c.png"
    save_classes(numbered(4, (64, 64, channels)), labels, blank, ("", "", ""))
    with Image.open(blank) as empty:
        assert (np.asarray(empty.convert("RGBA").convert("L"))[:height] == 255).all()


def test_many_classes_make_a_plain_grid(tmp_path):
    save_classes(numbered(21), torch.arange(21), tmp_path / "a.png", ("",) * 21)
    save_grid(numbered(21), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
