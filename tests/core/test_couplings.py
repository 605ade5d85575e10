"""Couplings: a permutation, and for optimal transport the best one."""

import itertools

import pytest
import torch
from torch.testing import assert_close

from feller.core.couplings import Coupling, IndependentCoupling, MinibatchOT

COUPLINGS = [IndependentCoupling(), MinibatchOT()]


def cost(x_0, x_1):
    return (x_0 - x_1).square().sum()


def batches(rng, b=5, event=(2, 3)):
    return torch.randn(2, b, *event, generator=rng, dtype=torch.float64)


def test_every_coupling_is_tested():
    ours = {c for c in Coupling.__subclasses__() if c.__module__.startswith("feller.core.")}
    assert ours == {type(coupling) for coupling in COUPLINGS}


@pytest.mark.parametrize("coupling", COUPLINGS, ids=str)
@pytest.mark.parametrize("b", [1, 5, 64])
def test_a_coupling_uses_every_row_once_and_costs_no_more(coupling, b, rng):
    x_0, x_1 = batches(rng, b)
    paired = coupling(x_0, x_1)
    assert sorted(paired[:, 0, 0].tolist()) == sorted(x_0[:, 0, 0].tolist())
    assert cost(paired, x_1) <= cost(x_0, x_1)


def test_pairs_as_drawn(rng):
    x_0, x_1 = batches(rng)
    assert IndependentCoupling()(x_0, x_1) is x_0


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_optimal_transport_is_the_best_permutation(shift, rng):
    for _ in range(10):
        x_0, x_1 = batches(rng)
        x_1 = x_1 + shift
        best = min(
            itertools.permutations(range(5)), key=lambda order: cost(x_0[list(order)], x_1).item()
        )
        assert_close(MinibatchOT()(x_0, x_1), x_0[list(best)], rtol=0, atol=0)


def test_optimal_transport_sorts_the_line(rng):
    x_0, x_1 = batches(rng, 200, (1,))
    order = x_1.flatten().argsort()
    assert_close(MinibatchOT()(x_0, x_1)[order], x_0.sort(0).values)
