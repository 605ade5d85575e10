"""The log-density of flows on spheres, tori and rotations, against densities in closed form.

On the sphere S^d the flow of u(x) = c (a - (a . x) x) draws the uniform distribution towards the
unit vector a; at time 1 its density is, with b = tanh c, that of the uniform one times
(sqrt(1 - b^2) / (1 - b a . x))^d: a Moebius transformation. On each angle of a torus u(x) = -c sin
x is the same with d = 1: the wrapped Cauchy distribution.
"""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.grids import uniform_grid
from feller.core.likelihood import HutchinsonTrace, log_likelihood
from feller.core.models import GeneratorModel
from feller.core.paths import GeodesicPath
from feller.core.posteriors import FiniteData
from feller.core.solvers import Dopri5, named_solver
from feller.core.sources import UniformBox, UniformSphere
from feller.core.spaces import Sphere, Torus

ON_SPHERE = GeodesicPath(Sphere(), UniformSphere())
ON_TORUS = GeodesicPath(Torus(), UniformBox(-math.pi, math.pi))
PULL = 0.8
WHOLE = (0.0, 1.0)
FINE = Dopri5(1e-7, 1e-7)


def drawn_together(x, t, condition):
    """Return the velocity on the sphere, towards its first axis; its radial part is not used."""
    return PULL * torch.eye(x.shape[-1], dtype=x.dtype)[0].expand_as(x) + 7 * x


def around(x, t, condition):
    """Return the velocity of angles towards 0."""
    return -PULL * x.sin()


def moebius(cosine, d):
    """Return the log of the density relative to the uniform one."""
    b = math.tanh(PULL)
    return d * (0.5 * math.log(1 - b * b) - (1 - b * cosine).log())


def points(rng, *shape):
    return UniformSphere().sample(shape, rng, like=torch.zeros(0).double())


@pytest.mark.parametrize("d", [1, 2, 4])
def test_a_flow_on_the_sphere(d, rng):
    x = points(rng, 20, d + 1)
    exact = moebius(x[:, 0], d) + UniformSphere().log_density(x)
    model = GeneratorModel(drawn_together, ON_SPHERE)
    found = log_likelihood(model, x, times=WHOLE, solver=FINE)
    assert_close(found.nats, exact, rtol=0, atol=1e-6)
    Sphere().check(found.x_0)
    coarse = log_likelihood(model, x, times=uniform_grid(20), solver=named_solver("rk4"))
    assert_close(coarse.nats, exact, rtol=0, atol=1e-4)


def test_a_flow_on_the_torus_that_wraps(rng):
    def turning(x, t, condition):
        return around(x - 5 * t, t, condition) + 5  # the same, seen from a turning frame

    x = math.pi * (2 * torch.rand(20, 3, generator=rng).double() - 1)
    exact = (moebius((x - 5).cos(), 1) - math.log(2 * math.pi)).sum(1)
    model = GeneratorModel(lambda x, t, c: turning(x, float(t[0]), c), ON_TORUS)
    found = log_likelihood(model, x, times=WHOLE, solver=FINE)
    assert_close(found.nats, exact, rtol=0, atol=1e-6)
    Torus().check(found.x_0)


def test_the_density_on_the_sphere_integrates_to_one(rng):
    """Of a network with no symmetry, over latitudes by Gauss and longitudes equally spaced."""
    layer = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    for weight in layer.parameters():
        weight.data.normal_(generator=rng)
    model = GeneratorModel(
        lambda x, t, condition: layer(torch.cat([x, t[:, None]], 1)).tanh(), ON_SPHERE
    )
    heights, weights = (torch.tensor(v) for v in np.polynomial.legendre.leggauss(40))
    turns = torch.arange(80) * (2 * math.pi / 80)
    flat = (1 - heights**2).sqrt()[:, None]
    grid = torch.stack(
        [flat * turns.cos(), flat * turns.sin(), heights[:, None].expand(-1, 80)], -1
    )
    found = log_likelihood(
        model, grid.flatten(0, 1).float(), times=uniform_grid(20), solver=named_solver("rk4")
    )
    density = found.nats.double().exp().unflatten(0, (40, 80))
    assert density.max() / density.min() > 3
    assert abs(float((weights[:, None] * density).sum()) * 2 * math.pi / 80 - 1) < 2e-3


def test_several_points_to_a_state_and_both_traces(rng):
    path = GeodesicPath(Sphere(event_dim=2), UniformSphere())
    model = GeneratorModel(drawn_together, path)
    x, grid = points(rng, 20, 3, 3), uniform_grid(10)
    exact = (moebius(x[..., 0], 2) + UniformSphere().log_density(x)).sum(1)
    one = log_likelihood(model, x, times=grid, solver=named_solver("rk4"))
    assert_close(one.nats, exact, rtol=0, atol=1e-3)
    trace = HutchinsonTrace(rng, 24)
    found = log_likelihood(model, x, times=grid, solver=named_solver("rk4"), trace=trace)
    score = (found.nats - exact) / found.error
    assert abs(float(score.mean())) * 20**0.5 < 4
    assert 0.6 < float(score.std()) < 1.6


@pytest.mark.parametrize("path", [ON_SPHERE, ON_TORUS], ids=["sphere", "torus"])
def test_the_way_to_one_point_has_the_density_of_its_path(path, rng):
    data = path.source.sample((1, 3), rng, like=torch.zeros(0).double())
    x = path.sample(data.repeat(12, 1), 0.4, rng)
    exact = path.log_density(x, 0.4, data)[:, None].flatten(1).sum(1)
    model, grid = FiniteData(path, Flow, data), uniform_grid(20, end=0.4)
    found = log_likelihood(model, x, times=grid, solver=named_solver("rk4"))
    assert_close(found.nats, exact, rtol=0, atol=1e-4)


def test_at_the_opposite_point_there_is_no_density():
    """Nothing comes there after t = 0, and all directions are as short: the one taken is said."""
    pole = torch.tensor([[0.0, 0.0, 1.0]]).double()
    model, grid = FiniteData(ON_SPHERE, Flow, pole), uniform_grid(20, end=0.4)
    found = log_likelihood(model, -pole, times=grid, solver=named_solver("rk4"))
    assert float(found.nats) < -1000 and bool(found.x_0.isfinite().all())


def test_what_is_no_point_of_the_manifold_is_refused():
    with pytest.raises(ValueError, match="points of the sphere have norm 1"):
        log_likelihood(GeneratorModel(drawn_together, ON_SPHERE), 2 * torch.eye(3))
    with pytest.raises(ValueError, match=r"angles are in \[-pi, pi\]"):
        log_likelihood(GeneratorModel(around, ON_TORUS), torch.full((1, 2), 4.0))
