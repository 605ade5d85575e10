"""Thinning: the exact law of chains whose rates depend on time, and on each other."""

import math

import numpy as np
import pytest
import torch
from oracles import MASKED, UNIFORM, on_tokens, p_value, source
from scipy import integrate, stats

from feller.core import random
from feller.core.generators import Categorical, Jump, Point
from feller.core.models import Model
from feller.core.paths import MixturePath
from feller.core.posteriors import FiniteData
from feller.core.solvers import Euler, EventDriven, Thinning, simulate
from feller.core.sources import Masked, UniformSphere
from feller.core.spaces import Sphere, Tokens

N = 20_000
FLIP = Categorical(torch.zeros(1, 1, 2))


def rates(t):
    """How fast 0 becomes 1 and 1 becomes 0."""
    return (1 + math.sin(6 * t)) / 2, t / 2


class Chain(Model):
    """Two states with rates that rise and fall; landing where it is counts half the events."""

    space, kinds = Tokens(2), frozenset({Jump})
    path = None

    def __init__(self, factor=1.0):
        self.factor = factor

    def __call__(self, x, t, condition=None):
        t = (torch.as_tensor(t, dtype=torch.float64) + torch.zeros(len(x)).double())[:, None]
        leave = torch.where(x == 0, (1 + torch.sin(6 * t)) / 2, t / 2)
        return Jump(2 * self.factor * leave, FLIP)


class Coupled(Chain):
    """Two elements: each goes to 1 the faster for the other being there."""

    def __call__(self, x, t, condition=None):
        t = (torch.as_tensor(t, dtype=torch.float64) + torch.zeros(len(x)).double())[:, None]
        return Jump(2 * self.factor * (0.2 + 3 * t * x.flip(1)) * (x == 0), FLIP)


class Apart(Chain):
    """From 2 to 0 at three times the rate of that to 1, by two jumps."""

    space = Tokens(3)

    def __call__(self, x, t, condition=None):
        away = (x == 2).double()
        parts = zip((3.0, 1.0), (0, 1), strict=True)
        jumps = [Jump(rate * away, Point(torch.full_like(x, y))) for rate, y in parts]
        return 0.5 * jumps[0] + 0.5 * jumps[1]


def test_each_of_two_jumps_has_its_fraction_of_the_events(rng):
    x = simulate(Apart(), torch.full((4_000, 1), 2), [0.0, 0.5, 1.0], Thinning(), rng).state
    stays = math.exp(-2)
    expected = 4_000 * np.array([0.75 * (1 - stays), 0.25 * (1 - stays), stays])
    assert stats.chisquare(x.flatten().bincount(minlength=3).numpy(), expected).pvalue > 1e-3


def law_of_chain():
    def slope(t, p):
        up, down = rates(t)
        return [down * (1 - p[0]) - up * p[0]]

    p = integrate.solve_ivp(slope, (0, 1), [1.0], rtol=1e-10, atol=1e-12).y[0, -1]
    return np.array([p, 1 - p])


def law_of_pair():
    """States 00, 01, 10, 11, by the forward equation of the whole chain."""

    def slope(t, p):
        slow, fast = 0.2, 0.2 + 3 * t
        flow = [2 * slow * p[0], fast * p[1]]
        return [-flow[0], flow[0] - flow[1]]

    start = [1.0, 0.0]
    p = integrate.solve_ivp(slope, (0, 1), start, rtol=1e-10, atol=1e-12).y[:, -1]
    return np.array([p[0], p[1] / 2, p[1] / 2, 1 - p.sum()])


def share_of(x, law):
    states = (x * 2 ** torch.arange(x.shape[1])).sum(1)
    return stats.chisquare(np.bincount(states.numpy(), minlength=len(law)), law * len(x)).pvalue


CASES = {"time": (Chain, 1, law_of_chain()), "each other": (Coupled, 2, law_of_pair())}
BOUNDED = Thinning(bound=lambda x, t, s: torch.full(x.shape, 8.0))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("grid", [[0.0, 1.0], [0.0, 0.5, 1.0]], ids=len)
def test_the_law_is_exact_on_any_grid(case, grid, rng):
    model, n, law = CASES[case]
    x_0 = torch.zeros(N, n, dtype=torch.int64)
    assert share_of(simulate(model(), x_0, grid, BOUNDED, rng).state, law) > 1e-3
    wrong = share_of(simulate(model(0.9), x_0, grid, BOUNDED, rng).state, law)
    assert wrong < 1e-3
    if case == "each other":  # where rates held over a step are far from what they become
        assert share_of(simulate(model(), x_0, grid, Euler(), rng).state, law) < 1e-3


def test_without_a_bound_the_ends_of_short_steps_make_one(rng):
    x_0 = torch.zeros(N, 1, dtype=torch.int64)
    x = simulate(Chain(), x_0, [i / 8 for i in range(9)], Thinning(margin=1.2), rng).state
    assert share_of(x, law_of_chain()) > 1e-3


@pytest.mark.parametrize("model", [on_tokens(MASKED), on_tokens(UNIFORM)], ids=["mask", "uniform"])
def test_a_path_s_chain_needs_no_bound_by_hand(model, rng):
    grid, n = [0.0, 0.3, 0.6], 10_000
    x = simulate(model, source(model, n, rng), grid, Thinning(), rng).state
    assert p_value(model, x, 0.6) > 1e-3


@pytest.mark.parametrize("solver", [BOUNDED, Thinning(margin=3.0)], ids=["bound", "margin"])
@pytest.mark.parametrize("model", [Chain(3.0), Coupled()], ids=["time", "each other"])
def test_rows_do_not_depend_on_their_neighbours(solver, model):
    """While rates fall as well, where the bound of the ends is made anew after an event."""
    x_0, grid = torch.zeros(12, 2, dtype=torch.int64), [0.3, 0.7, 0.8]
    together = simulate(model, x_0, grid, solver, random.rows(0, 0, 12)).state
    assert together.any()
    for row in range(12):
        alone = simulate(model, x_0[:1], grid, solver, random.rows(0, row, row + 1)).state
        assert torch.equal(alone, together[row : row + 1])


def test_network_calls_are_counted_and_saved(rng):
    x_0 = torch.zeros(1, 2, dtype=torch.int64)
    runs = []
    for rate in (0.0, 200.0):
        solver = Thinning(lambda x, t, s, rate=rate: torch.full(x.shape, rate))
        runs.append(simulate(Coupled(0.0), x_0, [0.0, 0.2], solver, rng))
    assert runs[0].nfe == 0
    assert 40 < runs[1].nfe < 120  # Poisson of 2 x 200 x 0.2


def test_known_elements_stay_and_rates_that_are_no_numbers_do_not_leak(rng):
    class Wild(Coupled):
        def __call__(self, x, t, condition=None):
            return Jump(torch.where(t == 1, torch.nan, 2.0) * torch.ones(x.shape), FLIP)

    times = torch.tensor([0.0, 0.9])[:, None, None].repeat(1, 400, 2)
    times[:, :, 0] = 1.0
    x = simulate(Wild(), torch.zeros(400, 2, dtype=torch.int64), times, Thinning(), rng).state
    assert not x[:, 0].any()
    assert 0.3 < x[:, 1].double().mean() < 0.6


def test_what_is_refused(rng):
    x_0 = torch.zeros(50, 1, dtype=torch.int64)
    low = Thinning(bound=lambda x, t, s: torch.full(x.shape, 1.0))
    with pytest.raises(ValueError, match=r"an intensity is .* times its bound"):
        simulate(Chain(), x_0, [0.0, 1.0], low, rng)
    masked = on_tokens(MASKED)
    with pytest.raises(ValueError, match=r"infinite by the end of the step: end before t = 1"):
        simulate(masked, source(masked, 50, rng), [0.0, 1.0], Thinning(), rng)
    with pytest.raises(ValueError, match="more than 3 candidates in a step"):
        simulate(
            Chain(),
            x_0,
            [0.0, 1.0],
            Thinning(bound=lambda x, t, s: 90.0 * torch.ones(50, 1), most=3),
            rng,
        )


@pytest.mark.parametrize("solver", [Euler(), Thinning(margin=3.0), EventDriven()], ids=repr)
def test_a_row_may_be_one_element(solver):
    path = MixturePath(Sphere(), UniformSphere())
    z = torch.tensor([[0.6, 0.0, 0.8], [0.0, -1.0, 0.0]])
    model = FiniteData(path, Jump, z)
    x_0 = path.sample_source((8, 3), random.rows(1, 0, 8), like=z)
    together = simulate(model, x_0, [0.0, 0.4, 0.8], solver, random.rows(0, 0, 8)).state
    arrived = (together[:, None] - z).norm(dim=-1).amin(1) < 1e-6
    assert 2 < arrived.sum() < 8 or arrived.all()
    assert torch.equal(together[~arrived], x_0[~arrived])
    alone = simulate(model, x_0[5:], [0.0, 0.4, 0.8], solver, random.rows(0, 5, 8)).state
    assert torch.equal(alone, together[5:])


def test_a_token_may_be_a_whole_state(rng):
    path = MixturePath(Tokens(3, event_dim=0), Masked(2))
    model = FiniteData(path, Jump, torch.tensor([0, 1]), torch.tensor([0.3, 0.7]))
    x = simulate(model, torch.full((10_000,), 2), [0.0, 1.0], EventDriven(), rng).state
    counts = x.bincount(minlength=3).numpy()
    assert counts[2] == 0
    assert stats.chisquare(counts[:2], [3000, 7000]).pvalue > 1e-3
