"""Sources: their moments, and their densities against scipy."""

import math

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core import random
from feller.core.discrete.sources import MaskedUniform, UnigramTokens
from feller.core.sources import (
    DataSource,
    Gaussian,
    Masked,
    Source,
    UniformBox,
    UniformSphere,
    UniformTokens,
)
from feller.core.spaces import Euclidean, Interval, Sphere, Tokens, Torus

HOMES = [
    (Gaussian(), Euclidean()),
    (UniformBox(), Euclidean()),
    (UniformBox(), Interval()),
    (UniformBox(-math.pi, math.pi), Torus()),
    (UniformSphere(), Sphere()),
    (UniformTokens(5), Tokens(5)),
    (Masked(4), Tokens(5)),
    (UnigramTokens((3.0, 1.0, 2.0)), Tokens(3)),
    (MaskedUniform(4, 0.3), Tokens(5)),
]
every_source = pytest.mark.parametrize(
    ("source", "space"), HOMES, ids=lambda value: str(value)[:20]
)


def test_every_source_is_tested():
    ours = {c for c in Source.__subclasses__() if c.__module__.startswith("feller.core.")}
    assert ours == {type(source) for source, _ in HOMES} | {DataSource}


@every_source
def test_samples_are_in_the_space(source, space, rng):
    x = source.sample((50, 4, 3), rng)
    space.check(x)
    assert x.shape == (50, 4, 3)
    assert source.log_density(x).isfinite().all()
    assert source.log_density(x).shape == x.shape[: x.ndim - space.element_dim]


@every_source
def test_a_row_does_not_depend_on_its_batch(source, space):
    batch = source.sample((5, 4, 3), random.rows(0, 0, 5))
    assert torch.equal(source.sample((2, 4, 3), random.rows(0, 3, 5)), batch[3:])


@every_source
def test_samples_are_like_the_state(source, space, rng):
    like = torch.zeros(2, dtype=torch.int64 if space.is_discrete else torch.float64)
    assert source.sample((2, 3), rng, like=like).dtype == like.dtype
    assert source.sample((2, 3), rng, like=like.to("meta")).device.type == "meta"


@pytest.mark.parametrize(
    ("source", "law"),
    [
        (Gaussian(), stats.norm()),
        (UniformBox(), stats.uniform(-1, 2)),
        (UniformBox(0.5, 3.0), stats.uniform(0.5, 2.5)),
    ],
)
def test_laws_on_the_line(source, law, rng):
    x = source.sample((20_000,), rng)
    assert stats.kstest(x.numpy(), law.cdf).pvalue > 0.001
    grid = torch.linspace(-4, 4, 41, dtype=torch.float64)
    assert_close(source.log_density(grid), torch.from_numpy(law.logpdf(grid.numpy())))


@pytest.mark.parametrize(
    ("d", "area"), [(1, 2), (2, 2 * math.pi), (3, 4 * math.pi), (4, 2 * math.pi**2)]
)
def test_the_sphere_is_uniform(d, area, rng):
    x = UniformSphere().sample((20_000, d), rng).double()
    assert_close(UniformSphere().log_density(x[:2]).exp(), torch.full((2,), 1 / area).double())
    bound = 4 / len(x) ** 0.5  # a coordinate's variance is 1/d <= 1
    assert_close(x.mean(0), torch.zeros(d).double(), rtol=0, atol=bound)
    assert_close(x.T @ x / len(x), torch.eye(d).double() / d, rtol=0, atol=bound)


def test_a_coordinate_of_the_sphere_in_three_dimensions_is_uniform(rng):
    height = UniformSphere().sample((20_000, 3), rng)[:, 2]
    assert stats.kstest(height.numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.001


def test_tokens_are_uniform(rng):
    source = UniformTokens(5)
    counts = source.sample((20_000,), rng).bincount(minlength=5)
    assert stats.chisquare(counts.numpy()).pvalue > 0.001
    density = source.log_density(torch.arange(7)).exp()
    assert_close(density, torch.tensor([0.2] * 5 + [0.0] * 2))


def test_masks_are_certain(rng):
    source = Masked(4)
    assert source.sample((2, 3), rng).unique().tolist() == [4]
    assert_close(source.log_density(torch.arange(5)).exp(), torch.eye(5)[4])


def test_an_empty_box_is_refused():
    with pytest.raises(ValueError, match=r"low is below high, not 1\.0 and 1\.0"):
        UniformBox(1.0, 1.0)


@pytest.mark.parametrize(
    ("source", "truth"),
    [
        (Gaussian(), math.exp(-0.5)),
        (UniformBox(-1.0, 2.0), (math.sin(2) + math.sin(1)) / 3),
        (UniformTokens(3), (1 + math.cos(1) + math.cos(2)) / 3),
        (Masked(4), math.cos(4)),
    ],
    ids=str,
)
def test_points_give_expectations(source, truth):
    """Of the cosine."""
    dtype = torch.int64 if isinstance(source, UniformTokens | Masked) else torch.float64
    points, weights = source.points(torch.zeros(1, dtype=dtype))
    assert points.dtype == dtype
    assert float((points.double().cos() * weights).sum()) == pytest.approx(truth, abs=1e-7)


def test_vectors_have_no_points():
    with pytest.raises(LookupError, match="stand for a UniformSphere"):
        UniformSphere().points(torch.zeros(2, 3))


def test_a_data_set_is_neither_drawn_from_nor_evaluated():
    assert DataSource().draws_in(Euclidean())
    for ask in (lambda s: s.sample((2,), None), lambda s: s.log_density(torch.zeros(2))):
        with pytest.raises(ValueError, match=r"^the source is a data set"):
            ask(DataSource())
