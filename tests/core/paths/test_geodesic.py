"""The geodesic path: on flat space the straight line, else the shortest way."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.paths import GaussianPath, GeodesicPath
from feller.core.schedules import CondOT, Cosine
from feller.core.sources import Gaussian, UniformBox, UniformSphere
from feller.core.spaces import Euclidean, Sphere, Torus


@pytest.mark.parametrize("t", [0.0, 0.3, 0.99])
def test_on_euclidean_space_it_is_the_conditional_optimal_transport_path(t, rng):
    z, x_0 = torch.randn(2, 5, 3, generator=rng)
    geodesic = GeodesicPath(Euclidean(), Gaussian()).sample(z, t, x_0=x_0)
    assert_close(geodesic, GaussianPath().sample(z, t, x_0=x_0))


@pytest.mark.parametrize("schedule", [CondOT(), Cosine()])
@pytest.mark.parametrize(
    ("space", "source"), [(Sphere(), UniformSphere()), (Torus(), UniformBox(-math.pi, math.pi))]
)
def test_it_goes_the_share_kappa_of_the_way(space, source, schedule, rng):
    like = torch.empty(0, dtype=torch.float64)
    z, x_0 = (source.sample((50, 3), rng, like=like) for _ in range(2))
    path, t = GeodesicPath(space, source, schedule), 0.3
    x = path.sample(z, t, x_0=x_0)
    space.check(x)
    kappa = schedule.alpha(torch.tensor(t).double())
    assert_close(space.log(x_0, x), kappa * space.log(x_0, z))
    assert_close(space.log(z, x), (1 - kappa) * space.log(z, x_0))
