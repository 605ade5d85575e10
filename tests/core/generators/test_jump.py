"""Jumps: exact chances of an event, and rows that do not depend on their neighbours."""

import pytest
import torch

from feller.core import random
from feller.core.generators import Categorical, Jump, Point
from feller.core.paths import GaussianPath, MixturePath
from feller.core.solutions import solution
from feller.core.sources import Masked
from feller.core.spaces import Euclidean, Tokens


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


def test_survival_on_condot_is_the_integral_of_its_intensity():
    """With k_t held fixed, lambda_s = k / (1 - s)^3; against float64 quadrature to 1e-6."""
    path = GaussianPath()
    x, z = torch.tensor([[3.0]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    for t, s in ((0.0, 0.5), (0.3, 0.31), (0.9, 0.999)):
        jump = solution(path, Jump)(path, x, t, z)
        lived = float(jump.intensity * jump.duration(s - t))
        k = float(jump.intensity) * (1 - t) ** 3
        grid = torch.linspace(t, s, 200_001, dtype=torch.float64)
        integral = float(torch.trapezoid(k / (1 - grid) ** 3, grid))
        assert lived == pytest.approx(integral, rel=1e-6)


def test_destinations_are_drawn_only_where_events_fire(monkeypatch, rng):
    asked = []

    class Watched(Categorical):
        def sample(self, rng):
            asked.append(len(self.probabilities))
            return super().sample(rng)

    monkeypatch.setattr(Categorical, "map", lambda self, f: Watched(f(self.probabilities)))
    x = torch.zeros(1000, 1, dtype=torch.int64)
    law = Categorical(torch.tensor([0.0, 1.0]).log().expand(1000, 1, 2))
    moved = Jump(torch.full((1000, 1), 0.1), law).step(Tokens(2), x, 1.0, rng)
    assert asked == [int(moved.sum())]
    assert 50 < asked[0] < 150


def test_rows_with_their_own_generators_do_not_depend_on_their_neighbours():
    x, y = torch.zeros(8, 5), torch.arange(40.0).view(8, 5)
    jump = Jump(torch.full((8, 5), 0.7), Categorical(torch.zeros(8, 5, 9)))
    together = jump.step(Euclidean(), x, 1.0, random.rows(0, 0, 8))
    part = Jump(jump.intensity[3:5], Categorical(torch.zeros(2, 5, 9)))
    assert torch.equal(together[3:5], part.step(Euclidean(), x[3:5], 1.0, random.rows(0, 3, 5)))
    certain = Jump(torch.full((8, 5), 1e9), Point(y)).step(Euclidean(), x, 1.0, None)
    assert torch.equal(certain, y)
