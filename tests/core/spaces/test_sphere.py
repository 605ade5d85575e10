"""The sphere: digits near its singular points, and what it refuses."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.spaces import Sphere


@pytest.mark.parametrize("angle", [1e-6, 1e-3, 1.0, math.pi - 1e-3])
def test_log_keeps_its_digits(angle):
    north = torch.tensor([0.0, 1.0])
    y = torch.tensor([math.sin(angle), math.cos(angle)])
    assert_close(Sphere().log(north, y), torch.tensor([angle, 0.0]), rtol=1e-4, atol=1e-12)


def test_a_full_turn_returns(rng):
    x = Sphere().project(torch.randn(5, 4, generator=rng).double())
    v = Sphere().project_tangent(x, torch.randn(5, 4, generator=rng).double())
    assert_close(Sphere().exp(x, 2 * math.pi * Sphere().project(v)), x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.tensor([[0.6, 0.8], [0.6, 0.9]]), "norm 1, one of these is off by 0.082"),
        (torch.tensor([[math.nan, 1.0]]), "norm 1"),
        (torch.tensor([[0, 1]]), "floating point"),
    ],
)
def test_states_are_unit_vectors(x, message):
    with pytest.raises(ValueError, match=message):
        Sphere().check(x)


def test_no_states_are_fine():
    Sphere().check(torch.zeros(0, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_way_to_the_opposite_point_is_half_a_turn(dtype):
    x = torch.tensor([[0.0, 0.0, 1.0], [0.6, 0.0, -0.8], [1.0, 0.0, 0.0]], dtype=dtype)
    way = Sphere().log(x, -x)
    assert_close(way.norm(dim=-1), torch.full((3,), math.pi, dtype=dtype))
    assert_close((way * x).sum(-1), torch.zeros(3, dtype=dtype), rtol=0, atol=1e-6)
    assert_close(Sphere().exp(x, way), -x, rtol=0, atol=1e-6)
    assert Sphere().log(x, x).abs().max() == 0
