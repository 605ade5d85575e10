"""Cells: which one a point is in, and the probability that every distribution gives to each."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import (
    Categorical,
    Deferred,
    FromSource,
    Mixture,
    NormalTails,
    Point,
    RatioOfNormals,
)
from feller.core.generators.cells import Bins, MovedBins, TokenCells, Values
from feller.core.sources import Masked, UniformTokens

EDGES = torch.linspace(-2, 2, 33, dtype=torch.float64)
BINS = Bins(EDGES)


def counted(law, edges):
    """Masses of bins by the law's own quadrature, refined by many short bins' means."""
    points, weights = law.quadrature()
    index = torch.bucketize(points.contiguous(), edges) - 1
    inside = (index >= 0) & (index < len(edges) - 1)
    found = torch.zeros(*points.shape[:-1], len(edges) - 1, dtype=torch.float64)
    return found.scatter_add(-1, index.clamp(0, len(edges) - 2), (weights * inside).double())


@pytest.mark.parametrize("kind", [RatioOfNormals, NormalTails])
def test_masses_of_normals_are_those_of_their_points(kind):
    """Running sums agree to the width of a quadrature point."""
    mean, c = torch.tensor([[-0.4, 0.3]], dtype=torch.float64), torch.tensor([[0.5, -1.0]]).double()
    law = kind(mean, torch.full_like(mean, 0.2), c)
    found, expected = law.masses(BINS).cumsum(-1), counted(law, EDGES).cumsum(-1)
    assert_close(found[..., -1], torch.ones(1, 2, dtype=torch.float64), atol=1e-6, rtol=0)
    assert (found - expected).abs().max() < 0.06


def test_masses_of_a_mixture_are_the_means(rng):
    z = torch.rand(4, 5, 3, generator=rng, dtype=torch.float64)
    weights = torch.rand(4, 5, 3, generator=rng, dtype=torch.float64)
    weights[0, 0] = 0  # no rate: no distribution, and no NaN
    found = Mixture(weights, Point(z)).masses(BINS)
    expected = torch.zeros(4, 5, 32, dtype=torch.float64)
    index = torch.bucketize(z, EDGES, right=True) - 1
    total = weights.sum(-1, keepdim=True)
    expected.scatter_add_(-1, index, weights / torch.where(total > 0, total, 1.0))
    assert_close(found, expected)


def test_masses_of_a_deferred_distribution_are_those_of_what_it_makes():
    law = Deferred(
        Point(torch.ones(2, 3)), (torch.zeros(2, 3),), lambda law, shift: Point(law.y + shift)
    )
    assert_close(law.masses(BINS), Point(torch.ones(2, 3)).masses(BINS))


def test_masses_of_a_source_of_tokens():
    uniform = FromSource(UniformTokens(4), torch.zeros(2, 3))
    assert_close(uniform.masses(TokenCells(4)), torch.full((2, 3, 4), 0.25))
    mask = FromSource(Masked(3), torch.zeros(2, 3))
    assert_close(mask.masses(TokenCells(4)), torch.tensor([0.0, 0, 0, 1]).expand(2, 3, 4))


def test_a_distribution_says_which_cells_it_knows_nothing_of():
    for law in (Categorical(torch.zeros(2, 3)), FromSource(Masked(3), torch.zeros(2, 3))):
        with pytest.raises(LookupError, match=f"a {type(law).__name__} has no masses on .* bins"):
            law.masses(BINS)
    normal = RatioOfNormals(torch.zeros(1), torch.ones(1), torch.zeros(1))
    with pytest.raises(
        LookupError, match="numbers with a density have masses on bins, not on TokenCells"
    ):
        normal.masses(TokenCells(3))


def test_each_point_has_its_cell():
    index, valid = BINS.index_of(torch.tensor([-2.0, -1.9, 0.0, 1.99, 2.0]))
    assert index.tolist() == [0, 0, 16, 31, 31]
    assert valid.all()
    values = Values(torch.tensor([-1.0, 0.0, 1.0]))
    found = values.index_of(torch.tensor([-1.4, -0.6, 0.4, 0.6, 1.5]))[0]
    assert found.tolist() == [0, 0, 1, 2, 2]
    assert TokenCells(3).index_of(torch.tensor([2, 0]))[0].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("y", "cells", "message"),
    [
        (
            torch.tensor([0.0, -2.5]),
            BINS,
            r"hold -2\.5, outside the 32 cells of the model, -2 \.\.\. 2",
        ),
        (torch.tensor([3]), TokenCells(3), r"hold 3, outside the 3 cells .* 0 \.\.\. 2"),
        (
            torch.tensor([255.0]),
            Values(torch.tensor([-1.0, 0.0, 1.0])),
            r"hold 255, outside the 3 cells of the model, -1\.5 \.\.\. 1\.5",
        ),
    ],
)
def test_a_point_without_a_cell_is_named(y, cells, message):
    with pytest.raises(ValueError, match=message):
        cells.index_of(y)


def test_a_point_without_a_cell_is_nan_where_none_looks(monkeypatch):
    monkeypatch.setattr("feller.core.generators.cells.readable", lambda _: False)
    found = Point(torch.tensor([0.0, 5.0])).masses(BINS)
    assert found[0].sum() == 1
    assert found[1].isnan().all()


def test_moved_bins_are_bins_elsewhere():
    """At place 1 in units of 2, the bins of (y - 1) / 2 are those between 1 + 2 edges."""
    origin, unit = torch.ones(1, 2).double(), torch.full((1, 2), 2.0).double()
    moved, there = MovedBins(BINS, origin, unit), Bins(1 + 2 * EDGES)
    mean, c = torch.tensor([[-0.4, 0.3]], dtype=torch.float64), torch.tensor([[0.5, -1.0]]).double()
    for kind in (RatioOfNormals, NormalTails):
        law = kind(mean, torch.full_like(mean, 0.7), c)
        assert_close(law.masses(moved), law.masses(there))
    y = torch.tensor([[-2.9, 4.8]], dtype=torch.float64)
    assert_close(moved.index_of(y), there.index_of(y))
    assert moved.range() == there.range() == (-3.0, 5.0)
    assert moved.count == there.count
