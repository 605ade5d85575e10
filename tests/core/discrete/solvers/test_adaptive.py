"""Surest first: any order is exact one at a time; the bound on the entropy decides how many."""

import pytest
import texts
import torch
from chains import drawn, exact_model, likelihood, random_law

from feller.core.discrete.solvers import Adaptive

V, N = 3, 3
POINTS, WEIGHTS = random_law(V, N)
MODEL = exact_model("mask", POINTS, WEIGHTS, v=V)


def run(solver, rng, model=MODEL, b=6000):
    return drawn(model, solver, torch.zeros(b, N, dtype=torch.int64), rng)


@pytest.mark.parametrize("by", ["confidence", "margin", "entropy"])
def test_one_at_a_time_is_exact(by, rng):
    chains = run(Adaptive(by), rng)
    assert (chains.nfe == N).all()
    assert likelihood(chains.x, WEIGHTS, V) > 0.001


def test_the_surest_comes_first(rng):
    """Elements 0, 1, 2 are ever less sure, and independent."""
    marginals = torch.tensor([[0.9, 0.05, 0.05], [0.7, 0.2, 0.1], [0.4, 0.3, 0.3]])
    a, b, c = marginals.double()
    model = exact_model("mask", POINTS, (a[:, None, None] * b[:, None] * c).flatten())
    for by in ("confidence", "margin", "entropy"):
        chains = run(Adaptive(by), rng, model, 20)
        assert torch.equal(chains.call, torch.tensor([[1, 2, 3]]).expand(20, -1))
    two = run(Adaptive("confidence", 2), rng, model, 20)
    assert torch.equal(two.call, torch.tensor([[1, 1, 2]]).expand(20, -1))
    h = torch.special.entr(marginals.double()).sum(1)
    for bound, calls in (
        (0.0, [1, 2, 3]),
        (float(h[0]) + 0.01, [1, 1, 2]),
        (float(h[0] + h[1]) - 0.01, [1, 1, 2]),
        (float(h[0] + h[1]) + 0.01, [1, 1, 1]),
    ):
        chains = run(Adaptive("entropy", bound=bound), rng, model, 5)
        assert torch.equal(chains.call, torch.tensor([calls]).expand(5, -1))


def test_what_is_certain_costs_nothing(rng):
    """A law on two sequences: after one token the rest follows, and a bound of zero sees it."""
    model = exact_model("mask", [[0, 0, 0], [1, 1, 1]], [0.4, 0.6])
    chains = run(Adaptive("entropy", bound=0.0), rng, model)
    assert (chains.nfe == 2).all()
    both = torch.zeros(8).double()
    both[0], both[7] = 0.4, 0.6
    assert likelihood(chains.x, both, 2) > 0.001


@pytest.mark.parametrize(
    "wrong", [{"per_call": 0}, {"by": "confidence", "bound": 0.1}, {"by": "entropy", "bound": -1.0}]
)
def test_a_rule_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="at least"):
        Adaptive(**wrong)


def test_a_source_of_tokens_is_refused(rng):
    model = exact_model("uniform", POINTS, WEIGHTS, v=V)
    with pytest.raises(ValueError, match="Adaptive reveals masks, but the source is UniformTokens"):
        run(Adaptive(), rng, model)


def test_a_name_that_is_none():
    with pytest.raises(ValueError, match="by is confidence, margin or entropy, not 'conf'"):
        texts.misspelt(Adaptive(), by="conf")
