"""The geodesic path: on flat space the straight line, else the shortest way."""

import math

import pytest
import torch
from scipy import stats
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


def test_on_euclidean_space_the_density_is_the_gaussian_one(rng):
    x, z = torch.randn(2, 5, 3, generator=rng, dtype=torch.float64)
    ours = GeodesicPath(Euclidean(), Gaussian()).log_density(x, 0.4, z).sum(-1)
    assert_close(ours, GaussianPath().log_density(x, 0.4, z))


@pytest.mark.parametrize("t", [0.0, 0.3, 0.8])
def test_samples_on_the_torus_have_the_density(t, rng):
    path = GeodesicPath(Torus(), UniformBox(-math.pi, math.pi), Cosine())
    z = torch.tensor([[2.5]], dtype=torch.float64)
    edges = torch.linspace(-math.pi, math.pi, 4001, dtype=torch.float64)
    middles = ((edges[1:] + edges[:-1]) / 2)[:, None]
    mass = path.log_density(middles, t, z).exp()[:, 0] * edges.diff()
    assert float(mass.sum()) == pytest.approx(1.0, abs=1e-2)
    x = path.sample(z.expand(20_000, 1), t, rng)
    counts = torch.histogram(x.flatten(), edges[::200]).hist
    mass = mass.view(20, 200).sum(1)
    kept = mass > 1e-9
    assert counts[~kept].sum() == 0
    expected = 20_000 * mass[kept] / mass.sum()
    assert stats.chisquare(counts[kept].numpy(), expected.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("t", [0.0, 0.3, 0.8])
def test_samples_on_the_sphere_have_the_density(t, d, rng):
    """By the angle to the data, whose volume is that of a sphere of one dimension less."""
    path = GeodesicPath(Sphere(), UniformSphere())
    pole = torch.eye(d, dtype=torch.float64)[-1]
    angle = torch.linspace(0, math.pi, 4001, dtype=torch.float64)
    middles = (angle[1:] + angle[:-1]) / 2
    x = torch.zeros(4000, d, dtype=torch.float64)
    x[:, 0], x[:, -1] = middles.sin(), middles.cos()
    area = 2 * math.pi ** ((d - 1) / 2) / math.gamma((d - 1) / 2)
    mass = path.log_density(x, t, pole).exp() * middles.sin() ** (d - 2) * area * angle.diff()
    assert float(mass.sum()) == pytest.approx(1.0, abs=2e-3)
    drawn = path.sample(pole.expand(20_000, d), t, rng)
    counts = torch.histogram(drawn[:, -1].clamp(-1, 1).arccos(), angle[::200]).hist
    mass = mass.view(20, 200).sum(1)
    kept = mass * 20_000 > 5
    assert counts[mass == 0].sum() == 0
    expected = mass[kept] / mass[kept].sum() * counts[kept].sum()
    assert stats.chisquare(counts[kept].numpy(), expected.numpy()).pvalue > 1e-3


def test_known_elements_are_certain():
    path = GeodesicPath(Torus(), UniformBox(-math.pi, math.pi))
    x = torch.tensor([[0.5, 0.7]])
    density = path.log_density(x, 1.0, torch.tensor([[0.5, 0.6]]))
    assert density.tolist() == [[0.0, -math.inf]]


def test_the_velocity_at_the_end_is_that_with_which_it_came(rng):
    like = torch.empty(0, dtype=torch.float64)
    z, x_0 = (UniformSphere().sample((50, 3), rng, like=like) for _ in range(2))
    path = GeodesicPath(Sphere(), UniformSphere())
    before, end = (path.draw(z, t, x_0=x_0) for t in (1 - 1e-7, 1.0))
    assert end.x_t.equal(z)
    assert_close(end.velocity, before.velocity, atol=1e-5, rtol=0)
    assert_close(end.velocity.norm(dim=-1), Sphere().log(x_0, z).norm(dim=-1))
