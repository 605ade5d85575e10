"""Event-driven simulation: the exact law in one step of the grid, and a call for each event."""

import numpy as np
import pytest
import torch
from oracles import (
    GAUSSIAN,
    MASKED,
    PAIRS,
    POINTS,
    UNIFORM,
    Scaled,
    on_tokens,
    p_value,
    source,
)
from scipy import stats

from feller.core import random
from feller.core.generators import Categorical, FromPosterior, Jump
from feller.core.models import Model
from feller.core.paths import MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import Cosine, Polynomial
from feller.core.solutions import from_posterior, solution
from feller.core.solvers import EventDriven, simulate
from feller.core.sources import Masked, UniformTokens
from feller.core.spaces import Tokens

N = 20_000
TRIPLES = torch.tensor([[0, 0, 1], [1, 2, 0], [2, 2, 2], [0, 1, 2]])
TRIPLE_WEIGHTS = torch.tensor([0.4, 0.1, 0.3, 0.2])


@pytest.mark.parametrize("schedule", [Polynomial(3.0), Cosine()], ids=str)
def test_first_hitting_is_exact_to_the_end(schedule, rng):
    """Three tokens that depend on each other: no first-order error, no strays."""
    path = MixturePath(Tokens(4), Masked(3), schedule)
    model = FiniteData(path, Jump, TRIPLES, TRIPLE_WEIGHTS)
    run = simulate(
        model, source(on_tokens(MASKED), N, rng)[:, [0, 0, 1]], [0.0, 1.0], EventDriven(), rng
    )
    counts = np.array([int((run.state == z).all(1).sum()) for z in TRIPLES])
    assert counts.sum() == N
    assert stats.chisquare(counts, np.array([0.4, 0.1, 0.3, 0.2]) * N).pvalue > 1e-3
    assert run.nfe == 3


@pytest.mark.parametrize("model", [on_tokens(MASKED), on_tokens(UNIFORM)], ids=["mask", "uniform"])
@pytest.mark.parametrize("grid", [[0.0, 0.7], [0.0, 0.2, 0.45, 0.7]], ids=len)
def test_the_law_on_the_way_does_not_depend_on_the_grid(model, grid, rng):
    x = simulate(model, source(model, N, rng), grid, EventDriven(), rng).state
    assert p_value(model, x, 0.7) > 1e-3
    slow = simulate(Scaled(model, 0.93), source(model, N, rng), grid, EventDriven(), rng).state
    assert p_value(model, slow, 0.7) < 1e-3


def test_events_come_at_their_own_times_one_by_one(rng):
    curved, times = MixturePath(Tokens(3), Masked(2), Polynomial(2.0)), []

    class Watched(Model):
        space, kinds, path = curved.space, frozenset({Jump}), curved

        def __call__(self, x, t, condition=None):
            times.append(t)
            return solution(curved, Jump)(curved, x, t, torch.zeros(1, 1, dtype=torch.int64))

    run = simulate(Watched(), torch.full((5000, 8), 2), [0.0, 1.0], EventDriven(), rng)
    assert (run.state == 0).all()
    clocks = torch.stack(times)
    assert clocks.shape == (8, 5000)
    assert (clocks.diff(dim=0) >= 0).all()
    assert stats.kstest((clocks.double() ** 2).flatten().numpy(), "uniform").pvalue > 1e-3


def test_a_posterior_s_network_is_a_model_like_any(rng):
    """A head that says the posterior of every element, known ones too, at the full hazard."""
    exact = on_tokens(MASKED)

    class Head(Model):
        space, kinds, path = exact.space, exact.kinds, exact.path

        def __call__(self, x, t, condition=None):
            posterior = exact.posterior(x, t)
            each = torch.einsum(
                "bk,knv->bnv", posterior, torch.nn.functional.one_hot(PAIRS, 4).float()
            )
            build = lambda law: from_posterior(MASKED, Jump, x, t, law)  # noqa: E731
            return FromPosterior(Categorical(each.log()), build)

    x = simulate(Head(), source(exact, N, rng), [0.0, 1.0], EventDriven(), rng).state
    counts = [int((x == z).all(1).sum()) for z in PAIRS]
    assert stats.chisquare(counts, np.array([0.5, 0.2, 0.3]) * N).pvalue > 1e-3


@pytest.mark.parametrize("model", [on_tokens(MASKED), on_tokens(UNIFORM)], ids=["mask", "uniform"])
def test_rows_do_not_depend_on_their_neighbours(model):
    x_0 = source(model, 12, torch.Generator().manual_seed(1))
    grid = [0.0, 0.3, 0.8]
    together = simulate(model, x_0, grid, EventDriven(), random.rows(0, 0, 12)).state
    for row in range(12):
        alone = simulate(
            model, x_0[row : row + 1], grid, EventDriven(), random.rows(0, row, row + 1)
        )
        assert torch.equal(alone.state, together[row : row + 1])


def test_what_is_known_stays_and_conditions_the_rest(rng):
    n = 4000
    times = torch.tensor([0.0, 0.4, 1.0])[:, None, None].repeat(1, n, 2)
    times[:, :, 0] = 1.0
    x_0 = torch.tensor([[2, 3]]).expand(n, 2)
    run = simulate(on_tokens(MASKED), x_0, times, EventDriven(), rng)
    assert torch.equal(run.state, torch.full((n, 2), 2))
    assert run.nfe == 2  # at most one event a row in each of two steps


def test_what_is_refused():
    model = on_tokens(UNIFORM)
    with pytest.raises(ValueError, match="no last event: end the grid before t = 1"):
        simulate(model, torch.zeros(1, 2, dtype=torch.int64), [0.0, 1.0], EventDriven())
    with pytest.raises(
        ValueError, match="EventDriven needs a model on a MixturePath, not on Gauss"
    ):
        simulate(FiniteData(GAUSSIAN, Jump, POINTS), torch.zeros(1, 1), [0.0, 0.5], EventDriven())
    with pytest.raises(ValueError, match="times its bound"):
        simulate(Scaled(on_tokens(MASKED), 1.5), torch.full((9, 2), 3), [0.0, 0.9], EventDriven())
    with pytest.raises(ValueError, match="more than 2 candidates in a step"):
        simulate(model, torch.zeros(50, 2, dtype=torch.int64), [0.0, 0.9], EventDriven(most=2))


def test_a_source_without_events_costs_nothing(rng):
    path = MixturePath(Tokens(3), UniformTokens(2))
    x = torch.tensor([[0, 1]])
    model = FiniteData(path, Jump, x)
    run = simulate(model, x, torch.ones(3, 1), EventDriven(), rng)
    assert torch.equal(run.state, x)
    assert run.nfe == 0
