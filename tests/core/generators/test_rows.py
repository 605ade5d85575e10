"""Rows: indices drawn from probabilities, entries picked, Gauss points."""

import pytest
import torch
from torch.testing import assert_close

from feller.core import random
from feller.core.generators.rows import draw_category, gauss_points, pick


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


@pytest.mark.parametrize("row", [[torch.nan, 1.0], [0.0, 0.0], [torch.inf, 1.0]])
def test_what_is_no_distribution_is_refused(row, rng):
    with pytest.raises(ValueError, match=r"probabilities of a draw sum to \w+, not"):
        draw_category(torch.tensor([[1.0, 2.0], row]), rng)
    assert draw_category(torch.ones(0, 2), rng).shape == (0,)


def test_an_entry_that_does_not_exist_is_minus_infinity():
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    found = pick(rows, torch.tensor([1, 5]), torch.tensor([True, False]))
    assert found.tolist() == [2.0, -torch.inf]


def test_gauss_points_integrate_polynomials():
    nodes, weights = gauss_points(3, torch.zeros((), dtype=torch.float64))
    for power in range(6):
        assert_close(float((weights * nodes**power).sum()), 1 / (power + 1))
