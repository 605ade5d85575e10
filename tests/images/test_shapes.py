"""Shapes drawn by formula: the same for a seed, all kinds in turn, and each with its own look."""

import numpy as np
import pytest

from feller.images.shapes import SHAPES, draw_shapes


def test_images_and_labels():
    images, labels = draw_shapes(23, 28, seed=0)
    assert images.shape == (23, 28, 28, 1)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert labels.tolist() == [i % 10 for i in range(23)]


def test_the_seed_chooses_them():
    images, _ = draw_shapes(20, 16, seed=0)
    assert np.array_equal(draw_shapes(20, 16, seed=0)[0], images)
    other, labels = draw_shapes(20, 16, seed=1)
    assert not np.array_equal(other, images)
    assert labels.tolist() == [*range(10), *range(10)]


def test_the_set_is_that_of_the_bundled_models():
    images, _ = draw_shapes(1000, 28, seed=0)
    assert images.astype(float).mean() == pytest.approx(28.2763, abs=1e-3)


def test_every_shape_has_ink_and_room():
    images, labels = draw_shapes(500, 28, seed=2)
    for label in range(len(SHAPES)):
        of_class = images[labels == label]
        assert (of_class.max(axis=(1, 2, 3)) > 100).all()
        assert (of_class.min(axis=(1, 2, 3)) < 40).all()
        assert (of_class.std(axis=0).max()) > 30  # they vary


def extent(lines):
    """How many lines from the first to the last that is set."""
    return lines.shape[1] - lines.argmax(axis=1) - lines[:, ::-1].argmax(axis=1)


def test_shapes_are_what_they_are_called():
    images, labels = draw_shapes(2000, 28, seed=3)
    ink = images[..., 0] > 80
    height, width = extent(ink.any(axis=2)), extent(ink.any(axis=1))
    ratio = {
        name: np.median(width[labels == i] / height[labels == i]) for i, name in enumerate(SHAPES)
    }
    assert ratio["bar"] > 2
    assert ratio["column"] < 0.5
    for name in ("disc", "ring", "square", "frame", "diamond", "plus"):
        assert 0.9 < ratio[name] < 1.1
    filled = ink.sum(axis=(1, 2)) / (height * width)
    share = {name: np.median(filled[labels == i]) for i, name in enumerate(SHAPES)}
    assert share["square"] > 0.95
    assert 0.7 < share["disc"] < 0.9
    assert share["ring"] < share["disc"] - 0.1
    assert share["frame"] < share["square"] - 0.2
    assert share["stripes"] < share["square"] - 0.2


@pytest.mark.parametrize("size", [1, 7, 1024])
def test_any_size(size):
    images, _ = draw_shapes(10, size, seed=0)  # a warning of numpy is an error here
    assert images.shape == (10, size, size, 1)
