"""Jumps: exact chances of an event, and rows that do not depend on their neighbours."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from feller.core import random
from feller.core.generators import Categorical, Jump, Point
from feller.core.generators.jump import lived_of
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import CondOT, Cosine, VariancePreserving
from feller.core.solutions import solution
from feller.core.solvers import Euler, grid_for, simulate
from feller.core.sources import Masked, UniformBox, UniformTokens
from feller.core.spaces import Euclidean, Interval, Sphere, Tokens


def test_the_chance_of_an_event_is_exact_over_any_step(rng):
    path, n = MixturePath(Tokens(3), Masked(2)), 100_000
    x, z = torch.full((n, 1), 2), torch.zeros(n, 1, dtype=torch.int64)
    moved = solution(path, Jump)(path, x, 0.2, z).step(path.space, x, 0.6, rng)
    share = 1 - (1 - 0.8) / (1 - 0.2)
    error = (share * (1 - share) / n) ** 0.5
    assert float((moved == 0).double().mean()) == pytest.approx(share, abs=4 * error)


def test_where_a_token_is_at_its_goal_it_stays(rng):
    path = MixturePath(Tokens(3), Masked(2))
    x = torch.zeros(50, 4, dtype=torch.int64)
    jump = solution(path, Jump)(path, x, 0.5, x)
    assert not jump.intensity.any()
    assert torch.equal(jump.step(path.space, x, 0.5, rng), x)


@pytest.mark.parametrize("schedule", [CondOT(), Cosine(), VariancePreserving()], ids=str)
def test_survival_on_a_gaussian_path_is_that_of_a_still_particle(schedule):
    """While mass falls all the time, p_s(x | z) / p_t(x | z) of what was at x has not left."""
    path = GaussianPath(schedule=schedule)
    x, z = torch.tensor([[3.0]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    for t, s in ((0.1, 0.5), (0.3, 0.31), (0.6, 0.7)):
        jump = solution(path, Jump)(path, x, t, z)
        lived = float(lived_of(jump, s - t))
        fell = float(path.log_density(x, t, z) - path.log_density(x, s, z))
        assert lived == pytest.approx(fell, rel=1e-6)


def test_survival_in_one_step_is_the_law_of_the_conditional_process(rng):
    """Mixture path: from t to s in one step, every element at its source or at its data value."""
    path, n = MixturePath(Tokens(4), UniformTokens(4), Cosine()), 40_000
    z = torch.tensor([[3, 1]]).expand(n, 2)
    x = path.sample(z, 0.2, rng)
    moved = solution(path, Jump)(path, x, 0.2, z).step(path.space, x, 0.3, rng)
    kappa = math.sin(math.pi / 2 * 0.5)
    for column in (0, 1):
        law = np.full(4, (1 - kappa) / 4)
        law[int(z[0, column])] += kappa
        counts = moved[:, column].bincount(minlength=4).numpy()
        assert stats.chisquare(counts, law * n).pvalue > 1e-3
        law[int(z[0, column])] += 0.05
        assert stats.chisquare(counts, law / law.sum() * n).pvalue < 1e-3


def where_mean_jumps_end(path, points, weights, steps, rng):
    model = FiniteData(path, Jump, points, weights)
    x_0 = path.sample_source((20_000, 1), rng)
    return simulate(model, x_0, grid_for(model, steps), Euler(), rng).state


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("source", [UniformTokens(3), Masked(3)], ids=str)
def test_the_mean_jump_brings_one_token_to_the_law_of_the_data(source, steps, rng):
    """However long the steps; in the last one, the clock of the hazard has no end."""
    path, law = MixturePath(Tokens(4), source), torch.tensor([0.7, 0.1, 0.2])
    x = where_mean_jumps_end(path, torch.arange(3)[:, None], law, steps, rng)
    counts = x.flatten().bincount(minlength=3).numpy()
    assert stats.chisquare(counts, 20_000 * np.array([0.7, 0.1, 0.2])).pvalue > 1e-3


def test_the_mean_jump_brings_a_number_to_the_law_of_the_data(rng):
    path, points = MixturePath(Interval(-1.0, 1.0), UniformBox()), torch.tensor([[-0.5], [0.5]])
    x = where_mean_jumps_end(path, points, torch.tensor([0.8, 0.2]), 20, rng)
    assert float((x == -0.5).double().mean()) == pytest.approx(0.8, abs=0.012)
    assert set(x.flatten().tolist()) == {-0.5, 0.5}


@pytest.mark.parametrize("rate", [torch.inf, torch.nan, 3.0])
def test_where_a_clock_stands_an_endless_rate_does_not_leak(rate, rng):
    jump = Jump(torch.full((500, 2), rate), Point(torch.ones(500, 2)), lambda h: h)
    h = torch.tensor([0.0, 0.0 if math.isnan(rate) else 1e3]).expand(500, 2)
    moved = jump.step(Euclidean(), torch.zeros(500, 2), h, rng)
    assert not moved[:, 0].any()
    assert moved[:, 1].all() or math.isnan(rate)
    path = MixturePath(Tokens(3), Masked(2))
    x, z = torch.full((500, 2), 2), torch.zeros(500, 2, dtype=torch.int64)
    at_the_data = solution(path, Jump)(path, x, torch.tensor([1.0, 0.5]).expand(500, 2), z)
    moved = at_the_data.step(path.space, x, torch.tensor([0.0, 0.5]).expand(500, 2), rng)
    assert torch.equal(moved, torch.tensor([2, 0]).expand(500, 2))


@pytest.mark.parametrize("rate", [torch.nan, -1e-3, -torch.inf])
def test_what_is_no_intensity_is_refused(rate, rng):
    rates = torch.tensor([[1.0, 1.0, 1.0], [1.0, rate, 1.0]])
    jump, x = Jump(rates, Point(torch.ones(2, 3))), torch.zeros(2, 3)
    with pytest.raises(ValueError, match=rf"intensities are at least 0, not {rate:g}: check"):
        jump.step(Euclidean(), x, 0.5, rng)
    assert not lived_of(jump, torch.zeros(2, 3)).any()


def test_where_nothing_can_be_looked_at_what_is_no_intensity_shows_in_the_state(rng, monkeypatch):
    monkeypatch.setattr("feller.core.generators.jump.readable", lambda numbers: False)
    jump = Jump(torch.tensor([[0.0, torch.nan]]), Point(torch.ones(1, 2, 3)))
    moved = jump.step(Sphere(), torch.zeros(1, 2, 3), 0.5, rng)
    assert moved[0].isnan().all(1).tolist() == [False, True]
    assert not moved[0, 0].any()


def test_a_rate_of_zero_over_an_endless_hazard_is_no_event(rng):
    jump = Jump(torch.zeros(1, 2), Point(torch.ones(1, 2)), lambda h: h + torch.inf)
    assert not jump.step(Euclidean(), torch.zeros(1, 2), 0.5, rng).any()


def test_destinations_are_drawn_only_where_events_fire(monkeypatch, rng):
    asked, sample = [], Categorical.sample

    def watch(self, rng):
        asked.append(len(self.logits))
        return sample(self, rng)

    monkeypatch.setattr(Categorical, "sample", watch)
    x = torch.zeros(1000, 1, dtype=torch.int64)
    law = Categorical(torch.tensor([0.0, 1.0]).log().expand(1000, 1, 2))
    moved = Jump(torch.full((1000, 1), 0.1), law).step(Tokens(2), x, 1.0, rng)
    assert asked == [int(moved.sum())]
    assert 50 < asked[0] < 150


def test_an_element_with_axes_of_its_own_jumps_as_one(rng):
    y = torch.nn.functional.normalize(torch.randn(400, 3, 3, generator=rng), dim=-1)
    x = torch.eye(3).expand(400, 3, 3).contiguous()
    moved = Jump(torch.full((400, 3), 1.0), Point(y)).step(Sphere(), x, 0.7, rng)
    jumped = (moved != x).any(-1)
    assert torch.equal(moved, torch.where(jumped[..., None], y, x))
    assert 0.4 < jumped.double().mean() < 0.6


def test_rows_with_their_own_generators_do_not_depend_on_their_neighbours():
    x, y = torch.zeros(8, 5), torch.arange(40.0).view(8, 5)
    jump = Jump(torch.full((8, 5), 0.7), Categorical(torch.zeros(8, 5, 9)))
    together = jump.step(Euclidean(), x, 1.0, random.rows(0, 0, 8))
    part = Jump(jump.intensity[3:5], Categorical(torch.zeros(2, 5, 9)))
    assert torch.equal(together[3:5], part.step(Euclidean(), x[3:5], 1.0, random.rows(0, 3, 5)))
    certain = Jump(torch.full((8, 5), 1e9), Point(y)).step(Euclidean(), x, 1.0, None)
    assert torch.equal(certain, y)


def test_elements_may_be_vectors():
    """One point of two on the sphere jumps at rate 3, the other stays: L f by hand."""
    here, there = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0])
    x = torch.stack([here, here])[None]
    jump = Jump(torch.tensor([[3.0, 0.0]]), Point(torch.stack([there, here])[None]))
    found = jump.apply(lambda x: 2 * x[:, 0, 0] + x[:, 0, 2] + x[:, 1, 2], x)
    assert float(found) == pytest.approx(3 * (2 - 1))
