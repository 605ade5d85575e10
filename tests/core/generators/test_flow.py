"""Flows: derivatives along the velocity, and steps along its geodesics."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.spaces import Euclidean, Sphere, Tokens, Torus


def test_apply_is_the_derivative_along_the_velocity(rng):
    x, u = torch.randn(2, 5, 3, generator=rng, dtype=torch.float64)
    matrix = torch.randn(3, 3, generator=rng, dtype=torch.float64)
    quadratic = Flow(u).apply(lambda x: ((x @ matrix) * x).sum(-1), x)
    assert_close(quadratic, ((x @ (matrix + matrix.T)) * u).sum(-1))


def test_the_mean_velocity(rng):
    u = torch.randn(4, 3, 2, 5, generator=rng)
    weights = torch.rand(4, 3, generator=rng).softmax(1)
    assert_close(Flow(u).average(weights).velocity, (weights[..., None, None] * u).sum(1))


@pytest.mark.parametrize("h", [0.5, torch.tensor([0.5, 0.5])])
def test_a_step_on_euclidean_space_is_straight(h):
    x, u = torch.ones(2, 3), torch.arange(6.0).reshape(2, 3)
    assert_close(Flow(u).step(Euclidean(), x, h, None), 1 + u / 2)


@pytest.mark.parametrize("h", [0.5, torch.tensor([0.5])])
def test_a_step_on_the_sphere_is_a_turn(h):
    x, u = torch.tensor([[0.0, 1.0]]), torch.tensor([[math.pi, 0.0]])
    assert_close(Flow(u).step(Sphere(), x, h, None), torch.tensor([[1.0, 0.0]]))


@pytest.mark.parametrize("space", [Euclidean(), Torus(), Sphere()])
@pytest.mark.parametrize("velocity", [math.inf, math.nan, 1.0])
def test_where_the_clock_stands_still_so_does_the_state(space, velocity, rng):
    x = space.project(torch.randn(2, 3, 2, generator=rng))
    u = torch.ones_like(x)
    u[:, 1] = velocity
    h = torch.tensor([[0.1, 0.0, 0.1]]).expand(2, 3)
    moved = Flow(space.project_tangent(x, u)).step(space, x, h, None)
    assert torch.equal(moved[:, 1], x[:, 1])
    assert moved.isfinite().all()
    assert (moved[:, ::2] != x[:, ::2]).any(-1).all()


def test_a_flow_does_not_move_tokens():
    x = torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"moves on a manifold, not on Tokens"):
        Flow(torch.zeros(2, 3)).step(Tokens(5), x, 0.1, None)
