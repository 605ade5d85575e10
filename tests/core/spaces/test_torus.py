"""The torus: it wraps."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.spaces import Torus


def test_angles_wrap():
    x = torch.tensor([3.0, -3.0, 0.0, math.pi])
    v = torch.tensor([1.0, -1.0, 7.0, 0.0])
    expected = torch.tensor([4 - 2 * math.pi, 2 * math.pi - 4, 7 - 2 * math.pi, -math.pi])
    assert_close(Torus().exp(x, v), expected)


def test_log_takes_the_shorter_way_round():
    x, y = torch.tensor([3.0, -3.0, 1.0]), torch.tensor([-3.0, 3.0, 2.0])
    expected = torch.tensor([2 * math.pi - 6, 6 - 2 * math.pi, 1.0])
    assert_close(Torus().log(x, y), expected, atol=1e-6, rtol=0)


def test_every_angle_is_wrapped_into_the_torus(rng):
    x = 100 * torch.randn(1000, generator=rng)
    wrapped = Torus().project(x)
    Torus().check(wrapped)
    assert_close(wrapped.sin(), x.sin(), atol=1e-4, rtol=0)
    assert_close(wrapped.cos(), x.cos(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("x", [torch.tensor([3.2]), torch.tensor([math.nan]), torch.tensor([1])])
def test_states_are_wrapped_angles(x):
    with pytest.raises(ValueError, match="angles are"):
        Torus().check(x)
