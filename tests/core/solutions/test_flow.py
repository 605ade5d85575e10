"""Flows that solve a path: the derivative of each sample, and known closed forms."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.paths import GaussianPath, GeodesicPath
from feller.core.schedules import Cosine
from feller.core.solutions import solution
from feller.core.sources import Gaussian, UniformBox, UniformSphere
from feller.core.spaces import Euclidean, Sphere, Torus

PATHS = [
    GaussianPath(),
    GaussianPath(schedule=Cosine()),
    GeodesicPath(Euclidean(), Gaussian(), Cosine()),
    GeodesicPath(Sphere(), UniformSphere()),
    GeodesicPath(Torus(), UniformBox(-math.pi, math.pi)),
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path)[:40])
def test_the_velocity_is_that_of_each_sample(path, rng):
    like = torch.empty(0, dtype=torch.float64)
    z, x_0 = (path.sample_source((30, 3), rng, like=like) for _ in range(2))
    t = torch.linspace(0.05, 0.95, 30, dtype=torch.float64)
    x, way = torch.func.jvp(lambda t: path.sample(z, t, x_0=x_0), (t,), (torch.ones_like(t),))
    assert_close(solution(path, Flow)(path, x, t, z).velocity, way)


def test_on_the_optimal_transport_path_the_velocity_is_data_minus_noise(rng):
    z, x_0 = torch.randn(2, 4, 5, 3, generator=rng, dtype=torch.float64)
    t = torch.rand(4, 5, generator=rng, dtype=torch.float64)  # a clock an element
    x = GaussianPath().sample(z, t, x_0=x_0)
    assert_close(solution(GaussianPath(), Flow)(GaussianPath(), x, t, z).velocity, z - x_0)


def test_the_geodesic_flow_on_euclidean_space_is_the_gaussian_one(rng):
    x, z = torch.randn(2, 4, 3, generator=rng)
    geodesic, gaussian = GeodesicPath(Euclidean(), Gaussian()), GaussianPath()
    assert_close(
        solution(geodesic, Flow)(geodesic, x, 0.3, z).velocity,
        solution(gaussian, Flow)(gaussian, x, 0.3, z).velocity,
    )


def test_states_and_data_broadcast(rng):
    x, z = torch.randn(4, 1, 3, generator=rng), torch.randn(1, 6, 3, generator=rng)
    for path in (GaussianPath(), GeodesicPath(Euclidean(), Gaussian())):
        velocity = solution(path, Flow)(path, x, 0.3, z).velocity
        assert_close(velocity[2, 5], solution(path, Flow)(path, x[2, 0], 0.3, z[0, 5]).velocity)
