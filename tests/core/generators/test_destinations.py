"""Destinations: draws and weighted points tell of the same law."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import (
    Atoms,
    Binned,
    Categorical,
    Deferred,
    Destination,
    Either,
    FromSource,
    Jump,
    Listed,
    Mixture,
    MovedBinned,
    NormalTails,
    Point,
    RatioOfNormals,
)
from feller.core.sources import Gaussian, Masked, UniformBox, UniformSphere, UniformTokens

D = torch.float64
LOGITS = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.9, 0.1]], dtype=D).log() + 7
NORMALS = [torch.tensor(v, dtype=D) for v in ([0.3, -1.0], [0.5, 2.0], [1.2, -30.0])]
LAWS = {
    "point": Point(torch.tensor([1.5, -2.0], dtype=D)),
    "categorical": Categorical(LOGITS),
    "atoms": Atoms(LOGITS, torch.tensor([-1.0, 0.25, 2.0], dtype=D)),
    "binned": Binned(LOGITS, torch.tensor([-1.0, 0.0, 0.5, 2.0], dtype=D)),
    "moved": MovedBinned(
        Binned(LOGITS, torch.tensor([-1.0, 0.0, 0.5, 2.0], dtype=D)), NORMALS[0], NORMALS[1]
    ),
    "ratio": RatioOfNormals(*NORMALS),
    "tails": NormalTails(*NORMALS),
    "source": FromSource(UniformBox(), torch.zeros(2, dtype=D)),
    "either": Either(
        torch.tensor([0.3, 1.0], dtype=D), Categorical(LOGITS), FromSource(UniformBox(), NORMALS[0])
    ),
    "deferred": Deferred(
        Categorical(LOGITS), (torch.tensor([1.0, 2.0], dtype=D),), lambda law, power: law
    ),
    "mixture": Mixture(
        torch.tensor([[1.0, 3.0], [0.0, 2.0]], dtype=D),
        Point(torch.tensor([[0.0, 1.0], [5.0, 7.0]], dtype=D)),
    ),
}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())


def test_every_law_is_tested():
    every = {*Destination.__subclasses__(), *Listed.__subclasses__()} - {Listed}
    ours = {c for c in every if c.__module__.startswith("feller.core.")}
    assert ours == {type(law) for law in LAWS.values()}


@every_law
def test_draws_have_the_moments_of_the_points(law, rng):
    points, weights = law.quadrature()
    assert_close(weights.sum(-1).double(), torch.ones(2, dtype=D))
    n = 100_000
    for row in range(2):
        copies = law.map(lambda v, row=row: v[row].expand(n, *v.shape[1:]))
        draws = copies.sample(rng).double()
        for power in (1, 2):
            truth = (weights[row] * points[row].double() ** power).sum()
            spread = float((draws**power).std()) / n**0.5
            assert abs(float((draws**power).mean() - truth)) < 4 * spread + 1e-6


@every_law
def test_indexing_keeps_the_law(law, rng):
    points, weights = law.quadrature()
    some = law.at(torch.tensor([False, True]))
    assert_close(some.quadrature(), (points[1:], weights[1:]))
    assert some.sample(rng).shape == (1,)


def test_a_deferred_law_is_made_of_the_asked_elements_only(rng):
    made = []

    def build(law, scale):
        made.append(len(scale))
        return Atoms(law.logits, law.values * 2)

    law = Deferred(LAWS["atoms"], (torch.tensor(1.0), torch.zeros(2)), lambda law, a, b: law)
    assert_close(law.quadrature(), LAWS["atoms"].quadrature())
    law = Deferred(LAWS["atoms"], (torch.ones(2, dtype=D),), build)
    fired = torch.tensor([True, False])
    assert set(law.expand(torch.Size([2])).at(fired).sample(rng).tolist()) <= {-2.0, 0.5, 4.0}
    assert made == [1]


@pytest.mark.parametrize(
    ("source", "mean", "square"),
    [
        (Gaussian(), 0.0, 1.0),
        (UniformBox(-1.0, 3.0), 1.0, 7 / 3),
        (UniformTokens(4), 1.5, 3.5),
        (Masked(3), 3.0, 9.0),
    ],
    ids=str,
)
def test_draws_of_the_source_are_its_own(source, mean, square, rng):
    like = torch.zeros(20_000, dtype=torch.int64 if "Box" not in str(source) else D)
    like = like.to(D) if isinstance(source, Gaussian) else like
    law = FromSource(source, like)
    points, weights = (v[0].double() for v in law.quadrature())
    assert_close((points * weights).sum(), torch.tensor(mean, dtype=D), atol=1e-6, rtol=1e-6)
    assert_close((points**2 * weights).sum(), torch.tensor(square, dtype=D), atol=1e-6, rtol=1e-6)
    draws = law.sample(rng).double()
    assert abs(float(draws.mean()) - mean) < 4 * (square - mean**2) ** 0.5 / 20_000**0.5 + 1e-9


def test_vectors_have_no_points():
    with pytest.raises(LookupError, match="no points are known that stand for a UniformSphere"):
        FromSource(UniformSphere(), torch.zeros(2, 3)).quadrature()


def test_a_mixture_of_no_weight_has_points():
    """Where the intensity is 0 the destination does not count, but must not be NaN."""
    law = Mixture(torch.zeros(1, 2), Point(torch.tensor([[0.0, 1.0]])))
    assert law.quadrature()[1].tolist() == [[0.0, 0.0]]


def test_a_mixture_of_no_weight_is_drawn_from_where_nothing_happens(rng):
    mixture = Mixture(torch.zeros(3, 2), Point(torch.ones(3, 2)))
    assert mixture.sample(rng).tolist() == [1.0, 1.0, 1.0]


def vectors(*axes):
    return torch.arange(math.prod(axes), dtype=D).view(axes)


@pytest.mark.parametrize("element", [(), (2,), (3, 2)], ids=["numbers", "vectors", "matrices"])
def test_a_mixture_keeps_what_elements_have_inside(element):
    """Two states of four elements; three laws, each of two points."""
    y = vectors(2, 4, 3, 2, *element)
    shares = torch.tensor([0.25, 0.75], dtype=D).expand(2, 4, 3, 2)
    weights = (1 + vectors(2, 4, 3)) / 7
    points, masses = Mixture(weights, Mixture(shares, Point(y))).quadrature()
    assert points.shape == masses.shape == (2, 4, *element, 6)
    assert torch.equal(points.movedim(-1, 2), y.flatten(2, 3))
    each = (weights / weights.sum(-1, keepdim=True))[..., None] * shares
    flat = masses.movedim(-1, 2).flatten(3) if element else masses[..., None]
    assert_close(flat, each.flatten(2)[..., None].expand_as(flat))


@pytest.mark.parametrize("element", [(), (2,), (3, 2)], ids=["numbers", "vectors", "matrices"])
def test_either_keeps_what_elements_have_inside(element):
    chance = torch.tensor([[0.25, 1.0, 0.5]], dtype=D)
    one, other = vectors(1, 3, *element), -vectors(1, 3, *element)
    points, masses = Either(chance, Point(one), Point(other)).quadrature()
    assert torch.equal(points, torch.stack([one, other], -1))
    flat = masses.view(1, 3, -1, 2)
    expected = torch.stack([chance, 1 - chance], -1)[:, :, None]
    assert_close(flat, expected.expand_as(flat))


def test_a_jump_of_matrices_lands_on_the_points_of_a_mixture():
    x, y = vectors(2, 2, 3, 3), 10 - vectors(2, 2, 4, 3, 3)
    weights = torch.tensor([1.0, 2.0, 0.0, 1.0], dtype=D).expand(2, 2, 4)
    jump = Jump(torch.tensor([[1.0, 0.5], [0.0, 2.0]], dtype=D), Mixture(weights, Point(y)))
    tilt = vectors(2, 3, 3).sin()
    linear = jump.apply(lambda x: (tilt * x).flatten(1).sum(1), x)
    means = (weights[..., None, None] * y).sum(2) / 4
    expected = (jump.intensity * (tilt * (means - x)).sum((-2, -1))).sum(1)
    assert_close(linear, expected)
