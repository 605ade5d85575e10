"""Which images figures are of. `test_report` has the random half that stands for a test split."""

import pytest
import torch

from feller.images.data import ImageData
from feller.images.metrics.splits import some_of, splits
from feller.images.recipes import drawn_flow


def test_some_of_a_set_are_drawn_by_the_seed():
    images = torch.arange(50)
    assert some_of(images, 5, 3).equal(some_of(images, 5, 3))
    assert not some_of(images, 5, 3).equal(some_of(images, 5, 4))
    assert some_of(images, 99, 0).sort().values.equal(images)


def test_splits_are_those_of_the_data():
    found = splits(drawn_flow().model.build(), ImageData(source="drawn"))
    assert (len(found.train), len(found.test), found.name) == (20_000, 2_000, "drawn")
    assert len(found.labels) == 2_000
    wide = drawn_flow().model.build()
    with pytest.raises(ValueError, match=r"images are \(c, h, w\)"):
        splits(wide, ImageData(source="drawn", size=8))
