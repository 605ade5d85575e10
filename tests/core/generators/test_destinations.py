"""Destinations: draws and weighted points tell of the same law."""

import pytest
import torch
from scipy import integrate, stats
from torch.testing import assert_close

from feller.core import random
from feller.core.generators import Atoms, Binned, Categorical, Destination, Mixture, Point
from feller.core.generators.destinations import RatioOfNormals, draw_category

D = torch.float64
LOGITS = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.9, 0.1]], dtype=D).log() + 7
LAWS = {
    "point": Point(torch.tensor([1.5, -2.0], dtype=D)),
    "categorical": Categorical(LOGITS),
    "atoms": Atoms(LOGITS, torch.tensor([-1.0, 0.25, 2.0], dtype=D)),
    "binned": Binned(LOGITS, torch.tensor([-1.0, 0.0, 0.5, 2.0], dtype=D)),
    "ratio": RatioOfNormals(
        torch.tensor([0.3, -1.0], dtype=D),
        torch.tensor([0.5, 2.0], dtype=D),
        torch.tensor([1.2, -30.0], dtype=D),
    ),
    "mixture": Mixture(
        torch.tensor([[1.0, 3.0], [0.0, 2.0]], dtype=D),
        Point(torch.tensor([[0.0, 1.0], [5.0, 7.0]], dtype=D)),
    ),
}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())


def test_every_law_is_tested():
    ours = {c for c in Destination.__subclasses__() if c.__module__.startswith("feller.")}
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


@pytest.mark.parametrize("c", [0.0, 0.4, -2.0, 40.0, -1000.0])
def test_bin_masses_are_the_integrals_of_the_density(c):
    """Against float64 quadrature, to 1e-6."""
    law = RatioOfNormals(*(torch.tensor([v], dtype=D) for v in (0.25, 0.5, c)))
    edges = torch.linspace(-2, 3, 11, dtype=D)
    low, high = (float(v) for v in law._roots())

    def density(y):
        u = (y - 0.25) / 0.5
        return max(1 + c * u - u * u, 0) * stats.norm.pdf(u) / 0.5

    kinks = [0.25 + 0.5 * u for u in (low, high) if -2 < 0.25 + 0.5 * u < 3]
    total, _ = integrate.quad(
        density, 0.25 + 0.5 * max(low, -9), 0.25 + 0.5 * min(high, 9), limit=500
    )
    mass = law.mass(edges)[0]
    for i, value in enumerate(mass):
        a, b = float(edges[i]), float(edges[i + 1])
        inside = [k for k in kinks if a < k < b] or None
        integral, _ = integrate.quad(density, a, b, points=inside, limit=500)
        assert float(value) == pytest.approx(integral / total, abs=1e-6)


def test_rare_categories_are_drawn_at_their_share():
    """A float32 running sum over 50,000 categories would lose the last ones."""
    probabilities = torch.ones(50_000)
    probabilities[-1] = 5.0
    rng = torch.Generator().manual_seed(0)
    rows = probabilities.expand(100, -1)
    drawn = torch.cat([draw_category(rows, rng) for _ in range(20)])
    assert drawn.max() < 50_000
    assert abs(float(drawn.double().mean()) - 25_000) < 4 * 14_434 / 2000**0.5


def test_zero_weight_is_never_drawn(rng):
    probabilities = torch.tensor([0.0, 1.0, 0.0, 2.0, 0.0]).expand(10_000, 5)
    drawn = draw_category(probabilities, rng)
    assert set(drawn.tolist()) == {1, 3}
    assert abs(float((drawn == 3).double().mean()) - 2 / 3) < 4 * 0.0047


def test_a_uniform_of_exactly_zero_skips_zero_weights(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda shape, rng, *, like: like.new_zeros(shape))
    assert draw_category(torch.tensor([[0.0, 0.0, 1.0, 0.0]]), None).tolist() == [2]
