"""The mixed method: the order of its flow, its jumps, products, and clocks of their own."""

import math

import pytest
import torch
from oracles import MASKED, MODELS, PAIRS, on_tokens, p_value, source
from torch.testing import assert_close

from feller.core.generators import Flow, Jump
from feller.core.grids import logarithmic_grid, uniform_grid
from feller.core.models import Model
from feller.core.paths import GaussianPath, GeodesicPath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.schedules import Cosine
from feller.core.solvers import MIDPOINT, Mixed, RungeKutta, simulate
from feller.core.sources import UniformSphere
from feller.core.spaces import Sphere

ONE = torch.ones(1, dtype=torch.float64)
NORMAL = NormalMixture(GaussianPath(schedule=Cosine()), 1.5 * ONE[:, None], 0.5 * ONE, ONE)


def test_of_a_flow_it_is_the_midpoint_method():
    x_0 = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    ours, midpoint = (
        simulate(NORMAL, x_0, uniform_grid(6), solver) for solver in (Mixed(), RungeKutta(MIDPOINT))
    )
    assert_close(ours.state, midpoint.state)
    assert ours.nfe == midpoint.nfe


def test_a_jump_in_the_first_half_is_followed_from_where_it_lands(rng):
    """Certain jumps to y at once, then half a step of drift from there."""

    class Certain(Model):
        space, kinds = GaussianPath().space, frozenset({Flow, Jump})
        path = None

        def __call__(self, x, t, condition=None):
            from feller.core.generators import Point

            rate = 0.0 if t > 0 else 1e9
            jump = Jump(torch.full_like(x, rate), Point(torch.full_like(x, 5.0)))
            return 0.5 * Flow(2 * x) + 0.5 * jump

    x = simulate(Certain(), torch.ones(3, 1), [0.0, 0.4], Mixed(), rng).state
    assert_close(x, torch.full((3, 1), 5.0 + 0.2 * 5.0))


def test_the_last_step_of_a_chain_draws_what_is_left(rng):
    x = simulate(on_tokens(MASKED), source(on_tokens(MASKED), 500, rng), [0.0, 1.0], Mixed(), rng)
    assert (x.state != 3).all()
    assert x.nfe == 2


def test_a_product_has_a_clock_for_each_factor(rng):
    model, n = MODELS["product"], 5000
    x_0 = source(model, n, rng)
    grids = {"place": logarithmic_grid(50, end=0.9), "token": logarithmic_grid(50, end=0.9)}
    state = simulate(model, x_0, grids, Mixed(), rng).state
    assert p_value(model, state, 0.9) > 1e-3
    known = {"place": torch.full((51, n), 1.0), "token": uniform_grid(50)[:, None].expand(51, n)}
    given = {"place": torch.full((n, 1), -2.0), "token": x_0["token"]}
    state = simulate(model, given, known, Mixed(), rng).state
    assert torch.equal(state["place"], given["place"])
    assert (state["token"] == 0).all()


def test_what_is_known_stays_and_conditions_the_rest(rng):
    times = torch.stack([torch.ones(31), uniform_grid(30)], 1)[:, None].expand(31, 4000, 2)
    x_0 = torch.stack([torch.full((4000,), 2), torch.full((4000,), 3)], 1)
    x = simulate(on_tokens(MASKED), x_0, times, Mixed(), rng).state
    assert torch.equal(x, torch.full((4000, 2), 2))  # of the pairs only (2, 2) begins with 2
    assert [2, 2] in PAIRS.tolist()


def test_standing_numbers_leak_nothing(rng):
    model, n = MODELS["all"], 200
    times = torch.full((4, n), 1.0)
    times[:, n // 2 :] = torch.tensor([0.0, 0.4, 0.8, 0.9])[:, None]
    x_0 = torch.cat([torch.full((n // 2, 1), 2.0), torch.randn(n // 2, 1, generator=rng)])
    x = simulate(model, x_0, times, Mixed(), rng).state
    assert torch.equal(x[: n // 2], x_0[: n // 2])
    assert x.isfinite().all()


def test_curved_spaces_are_refused():
    path = GeodesicPath(Sphere(), UniformSphere())
    model = FiniteData(path, Flow, torch.eye(3))
    with pytest.raises(ValueError, match="Mixed moves on Euclidean, Tokens space, not on Sphere"):
        simulate(model, torch.eye(3), [0.0, 0.5], Mixed())


def test_the_order_is_two():
    def error(steps):
        x_0 = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
        x = simulate(NORMAL, x_0, [0.8 * i / steps for i in range(steps + 1)], Mixed()).state
        alpha, sigma = math.sin(0.4 * math.pi), math.cos(0.4 * math.pi)
        return float((x - alpha * 1.5 - math.hypot(alpha / 2, sigma) * x_0).square().mean().sqrt())

    assert abs(math.log(error(20) / error(80)) / math.log(4) - 2) < 0.25
