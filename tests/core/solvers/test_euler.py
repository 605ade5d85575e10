"""Euler's method: one network call a step, along geodesics."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.grids import uniform_grid
from feller.core.models import Model
from feller.core.paths import GaussianPath, GeodesicPath
from feller.core.posteriors import FiniteData
from feller.core.solutions import solution
from feller.core.solvers import Euler, simulate
from feller.core.sources import UniformBox, UniformSphere
from feller.core.spaces import Sphere, Torus


@pytest.mark.parametrize("steps", [1, 7])
def test_one_call_a_step(steps):
    model = FiniteData(GaussianPath(), Flow, torch.tensor([[3.0]]))
    simulation = simulate(model, torch.zeros(2, 1), uniform_grid(steps), Euler())
    assert simulation.nfe == steps
    assert_close(simulation.state, torch.full((2, 1), 3.0))


@pytest.mark.parametrize(
    "on",
    [GeodesicPath(Sphere(), UniformSphere()), GeodesicPath(Torus(), UniformBox(-math.pi, math.pi))],
    ids=["sphere", "torus"],
)
def test_geodesics_lead_to_the_data_and_stay_on_the_manifold(on, rng):
    like = torch.empty(0, dtype=torch.float64)
    z, x_0 = (on.sample_source((50, 3), rng, like=like) for _ in range(2))

    class Conditional(Model):
        kinds, space, path = frozenset({Flow}), on.space, None

        def __call__(self, x, t, condition=None):
            on.space.check(x)
            return solution(on, Flow)(on, x, t, z)

    for times in (uniform_grid(10), uniform_grid(10)[:, None].expand(11, 50)):
        x = simulate(Conditional(), x_0, times, Euler()).state
        on.space.check(x)
        assert_close(on.space.log(x, z), torch.zeros_like(z), atol=1e-5, rtol=0)
