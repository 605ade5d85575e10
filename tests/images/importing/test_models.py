"""What is made of a network and a process."""

import pytest
import torch

from feller.images import UNetConfig
from feller.images.importing.models import Labels, image_model, sides
from feller.images.importing.processes import forward_flow


def made(**labels):
    network = UNetConfig(
        channels=(8,), blocks_per_level=1, attention_levels=(), num_classes=labels.get("count", 0)
    )
    state = {"stem.bias": torch.zeros(8)}
    return image_model(
        network,
        state,
        forward_flow(),
        (4, 8),
        labels=Labels(labels.get("count", 0), labels.get("null", False)),
        reading={"a": "b"},
    )


def test_it_has_the_clock_the_size_and_the_classes():
    found = made(count=2)
    assert found.config.network.time_scale == 1.0
    assert found.config.codec.shape == (3, 4, 8) and found.config.codec.classes == ("0", "1")
    assert list(found.state) == ["model.network.stem.bias"]
    assert found.reading["a"] == "b" and "2 classes by number" in found.reading["images"]


def test_a_row_for_no_label_that_nobody_trained_is_not_drawn_from():
    assert made(count=2).config.condition_drop == 0.0
    assert made(count=2, null=True).config.condition_drop is None
    assert made().config.condition_drop is None


def test_sizes():
    assert sides(8) == (8, 8)
    for wrong in ([8], [0, 3], [1.5, 2]):
        with pytest.raises(ValueError, match="a size is one number or height and width"):
            sides(wrong)
