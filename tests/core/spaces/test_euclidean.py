"""Euclidean space: what it refuses."""

import pytest
import torch

from feller.core.spaces import Euclidean


def test_images_are_states_of_three_axes():
    Euclidean(3).check(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match="a state has 3 axes, this one 2"):
        Euclidean(3).check(torch.zeros(8, 8))


def test_states_are_floating_point():
    with pytest.raises(ValueError, match=r"floating point, not torch\.int64"):
        Euclidean().check(torch.zeros(2, 3, dtype=torch.int64))


def test_a_state_without_axes_is_refused():
    with pytest.raises(ValueError, match="at least one axis, not 0"):
        Euclidean(0)
