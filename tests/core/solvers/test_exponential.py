"""Exponential integrators: exact where x_1 is constant, DDIM and DDPM elsewhere."""

import math

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.heads import FlowHead
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.schedules import CondOT, Cosine, Polynomial, VariancePreserving
from feller.core.solvers import DDIM, Euler, named_solver, simulate

SCHEDULES = [CondOT(), Cosine(), VariancePreserving()]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=str)


@every_schedule
def test_one_point_takes_one_step_however_long(schedule):
    path, z = GaussianPath(schedule=schedule), torch.tensor([[3.0]], dtype=torch.float64)
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    model = FiniteData(path, Flow, z)
    for t, s in ((0.0, 0.7), (0.1, 0.999), (0.6, 0.61)):
        start, expected = (path.sample(z.expand(9, 1), time, x_0=noise) for time in (t, s))
        simulation = simulate(model, start, [t, s], DDIM())
        assert_close(simulation.state, expected)
        assert simulation.nfe == 1


@every_schedule
@pytest.mark.parametrize("churn", [0.5, 1.0])
def test_with_churn_one_point_keeps_its_law(schedule, churn, rng):
    path, z = GaussianPath(schedule=schedule), torch.full((20_000, 1), 3.0)
    start = path.sample(z, 0.2, rng)
    solver = DDIM(churn)
    x = simulate(FiniteData(path, Flow, z[:1]), start, [0.2, 0.6], solver, rng).state
    alpha, sigma = (float(f(torch.tensor(0.6))) for f in (schedule.alpha, schedule.sigma))
    assert stats.kstest(x.flatten().numpy(), stats.norm(3 * alpha, sigma).cdf).pvalue > 1e-3
    assert stats.kstest(x.flatten().numpy(), stats.norm(3 * alpha, 1.05 * sigma).cdf).pvalue < 1e-3


def test_full_churn_forgets_what_the_ancestral_step_forgets(rng):
    """DDPM: x_s given x_t and x_1 has the mean and the variance of the posterior of two normals."""
    path, z, t, s = GaussianPath(), torch.tensor([[3.0]]), 0.3, 0.5
    model, x = FiniteData(path, Flow, z), torch.full((40_000, 1), 2.0)
    moved = simulate(model, x, [t, s], DDIM(1.0), rng).state.double()
    ratio = t / s  # x_t = ratio x_s + noise of variance (1 - t)^2 - ratio^2 (1 - s)^2
    noise, prior = (1 - t) ** 2 - (ratio * (1 - s)) ** 2, (1 - s) ** 2
    gain = ratio * prior / (1 - t) ** 2
    mean = s * 3.0 + gain * (2.0 - t * 3.0)
    deviation = math.sqrt(prior * noise / (1 - t) ** 2)
    assert float(moved.mean()) == pytest.approx(mean, abs=4 * deviation / 200)
    assert float(moved.std()) == pytest.approx(deviation, rel=0.02)


def test_on_condot_ddim_is_eulers_method():
    model = FiniteData(GaussianPath(), Flow, torch.tensor([[-2.0], [2.0]]).double())
    x_0 = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    times = [0.0, 0.3, 0.5, 1.0]
    euler = simulate(model, x_0, times, Euler()).state
    assert_close(simulate(model, x_0, times, DDIM()).state, euler)


@pytest.mark.parametrize("prediction", ["x_1", "noise", "velocity"])
def test_the_step_into_the_data_returns_what_the_model_predicts(prediction):
    head = FlowHead(prediction)
    model = GeneratorModel(lambda x, t, c: x.cos(), GaussianPath(), head)
    x = torch.tensor([[0.3], [0.4]])
    state = simulate(model, x, [0.5, 1.0], DDIM(1.0)).state
    data = {"x_1": x.cos(), "noise": 2 * x - x.cos(), "velocity": x + 0.5 * x.cos()}
    assert_close(state, data[prediction])


def test_the_order_is_one():
    def error(solver, steps):
        path = GaussianPath(schedule=VariancePreserving())
        one = torch.ones(1).double()
        model = NormalMixture(path, 1.5 * one[:, None], 0.5 * one, one)
        x_0 = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
        start, end = 0.1, 0.9
        times = [start + (end - start) * i / steps for i in range(steps + 1)]
        x = simulate(model, x_0, times, solver).state
        (a, b), (c, d) = (
            [float(f(torch.tensor(t).double())) for f in (path.schedule.alpha, path.schedule.sigma)]
            for t in (start, end)
        )
        exact = c * 1.5 + math.hypot(c * 0.5, d) / math.hypot(a * 0.5, b) * (x_0 - a * 1.5)
        return float((x - exact).square().mean().sqrt())

    coarse, fine = (error(DDIM(), steps) for steps in (20, 80))
    assert abs(math.log(coarse / fine) / math.log(4) - 1) < 0.2


def test_churn_is_a_share():
    with pytest.raises(ValueError, match=r"churn lies in \[0, 1\], not 1.5"):
        DDIM(1.5)


@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpm++"])
@pytest.mark.parametrize("clock", [lambda g: g, lambda g: torch.tensor(g)[:, None].repeat(1, 3)])
def test_a_path_that_stands_still_at_the_source_is_named(name, clock, rng):
    path = GaussianPath(schedule=Polynomial())
    model = FiniteData(path, Flow, torch.tensor([[-2.0], [2.0]]))
    x_0, solver = torch.full((3, 1), 0.5), named_solver(name)
    with pytest.raises(ValueError, match=r"on Polynomial\(power=2.0\) the velocity at t = 0 does"):
        simulate(model, x_0, clock([0.0, 0.5, 1.0]), solver, rng)
    assert simulate(model, x_0, clock([0.01, 0.5, 0.9]), solver, rng).state.isfinite().all()
