"""Event by event: the exact law, at one network call a token."""

import pytest
import torch
from chains import drawn, exact_model, likelihood, random_law
from scipy import stats

from feller.core import random
from feller.core.discrete.solvers import FirstHitting
from feller.core.discrete.solvers.first_hitting import first_in_rows

V, N = 3, 3
POINTS, WEIGHTS = random_law(V, N)
MODEL = exact_model("mask", POINTS, WEIGHTS, v=V)


def test_the_law_is_exact_at_one_call_a_token(rng):
    """P9."""
    chains = drawn(MODEL, FirstHitting(), torch.zeros(8000, N, dtype=torch.int64), rng)
    assert (chains.nfe == N).all()
    assert likelihood(chains.x, WEIGHTS, V) > 0.001


def test_together_they_do_not_see_each_other(rng):
    """Three a call: the product of the marginals, and not the law."""
    chains = drawn(MODEL, FirstHitting(N), torch.zeros(8000, N, dtype=torch.int64), rng)
    assert (chains.nfe == 1).all()
    table = WEIGHTS.view(V, V, V)
    a, b, c = (table.sum(axes) for axes in ((1, 2), (0, 2), (0, 1)))
    product = (a[:, None, None] * b[:, None] * c).flatten()
    assert likelihood(chains.x, product, V) > 0.001
    assert likelihood(chains.x, WEIGHTS, V) < 0.001


@pytest.mark.parametrize("steps", [None, 4])
@pytest.mark.parametrize("per_call", [1, 3])
def test_reveals_come_at_the_times_of_the_chain_in_any_order(per_call, steps, rng):
    """An element's own time is uniform in kappa, and kappas of different elements independent."""
    x = torch.zeros(4000, N, dtype=torch.int64)
    chains = drawn(MODEL, FirstHitting(per_call), x, rng, steps=steps)
    if per_call == 1:
        assert stats.kstest(chains.level[:, 0].numpy(), "uniform").pvalue > 0.001
        assert abs(torch.corrcoef(chains.level.T)[0, 1]) < 4 / 4000**0.5
        orders = (chains.call @ torch.tensor([9, 3, 1])).unique(return_counts=True)[1]
        assert len(orders) == 6
        assert stats.chisquare(orders).pvalue > 0.001
    else:  # all at the time of the last: the largest of three uniforms
        assert stats.kstest(chains.level[:, 0].numpy() ** 3, "uniform").pvalue > 0.001


def test_a_grid_changes_nothing():
    """The next event is foreseen: what a grid cuts in two is what it is without."""
    x = torch.zeros(20, N, dtype=torch.int64)
    whole, cut = (
        drawn(MODEL, FirstHitting(), x, random.rows(0, 0, 20), steps=n) for n in (None, 7)
    )
    assert whole.x.equal(cut.x) and whole.level.equal(cut.level) and whole.call.equal(cut.call)


def test_the_least_keys_of_some():
    keys = torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    among = torch.tensor([[True, False, True], [True, True, True], [False, False, True]])
    chosen = first_in_rows(keys, among, torch.tensor([1, 2, 2]))
    assert chosen.int().tolist() == [[0, 0, 1], [1, 1, 0], [0, 0, 1]]


def test_a_source_of_tokens_is_refused(rng):
    model = exact_model("mask+uniform", POINTS, WEIGHTS, v=V)
    with pytest.raises(ValueError, match="FirstHitting reveals masks, but the source is MaskedUni"):
        drawn(model, FirstHitting(), torch.zeros(1, N, dtype=torch.int64), rng)


def test_no_reveals_are_refused():
    with pytest.raises(ValueError, match="at least one token, not 0"):
        FirstHitting(0)
