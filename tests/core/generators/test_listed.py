"""Distributions on lists of cells: probabilities and densities, from logits."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Atoms, Binned, Categorical, MovedBinned

EDGES = torch.linspace(-2, 2, 6)
MAKERS = [Categorical, lambda v: Atoms(v, torch.arange(5.0)), lambda v: Binned(v, EDGES)]


@pytest.mark.parametrize("make", MAKERS, ids=["tokens", "values", "bins"])
def test_masses_are_the_probabilities_of_the_points(make, rng):
    law = make(torch.randn(2, 3, 5, generator=rng))
    points, weights = law.quadrature()
    assert_close(law.masses(law.cells), weights.unflatten(-1, (5, -1)).sum(-1))
    assert_close(law.log_masses(), law.masses(law.cells).log())
    index, valid = law.cells.index_of(points)
    assert valid.all()
    assert torch.equal(
        index, torch.arange(5).repeat_interleave(points.shape[-1] // 5).expand_as(index)
    )


@pytest.mark.parametrize("make", MAKERS, ids=["tokens", "values", "bins"])
def test_small_probabilities_do_not_underflow(make):
    far = make(torch.tensor([[0.0, -400.0, 0, 0, 0]]))
    assert_close(far.log_masses()[0, 1], -400 - torch.tensor(4.0).log())


def test_the_log_probability_of_a_point(rng):
    logits = torch.randn(5, generator=rng)
    p = logits.log_softmax(-1)
    tokens = Categorical(logits).log_prob(torch.tensor([4, 0, 5]))
    assert_close(tokens, torch.tensor([p[4], p[0], -torch.inf]))
    atoms = Atoms(logits, torch.arange(5.0)).log_prob(torch.tensor([3.0, 3.2]))
    assert_close(atoms, torch.tensor([p[3], -torch.inf]))


def test_the_density_of_bins_integrates_to_one(rng):
    law = Binned(torch.randn(5, generator=rng), torch.tensor([-2.0, -1.5, 0, 0.1, 1, 3]))
    y = torch.linspace(-2.5, 3.5, 60001)
    assert_close(torch.trapezoid(law.log_prob(y).exp(), y), torch.tensor(1.0), atol=1e-3, rtol=0)
    assert law.log_prob(torch.tensor([-2.1, 3.1])).exp().tolist() == [0, 0]
    assert law.is_density


def test_densities_of_bins_that_move_are_those_at_their_points(rng):
    logits, origin = torch.randn(2, 5, generator=rng), torch.tensor([-3.0, 4.0])
    moved = MovedBinned(Binned(logits, EDGES), origin, torch.tensor([0.5, 2.0]))
    points, _ = moved.quadrature()
    middles = points.unflatten(-1, (5, -1))[..., 1]
    one = [moved.log_prob(middle) for middle in middles.T]
    assert_close(moved.log_densities(), torch.stack(one, 1))
    assert_close(moved.with_logits(0 * logits).log_masses().exp(), torch.full((2, 5), 0.2))
