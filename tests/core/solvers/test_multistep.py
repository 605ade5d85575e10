"""DPM-Solver++(2M): order 2 at one network call a step."""

import math
from itertools import pairwise

import pytest
import torch
from torch.testing import assert_close

from feller.core.heads import FlowHead
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.posteriors import NormalMixture
from feller.core.schedules import CondOT, Cosine, VariancePreserving
from feller.core.solvers import DDIM, DPMSolverPP2M, Euler, simulate

ONE = torch.ones(1, dtype=torch.float64)


def error(solver, schedule, steps, start=0.2, end=0.8):
    """The distance from the exact flow of one normal."""
    model = NormalMixture(GaussianPath(schedule=schedule), 1.5 * ONE[:, None], 0.5 * ONE, ONE)
    x_0 = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    times = [start + (end - start) * i / steps for i in range(steps + 1)]
    x = simulate(model, x_0, times, solver).state
    (a, b), (c, d) = (
        [float(f(torch.tensor(t).double())) for f in (schedule.alpha, schedule.sigma)]
        for t in (start, end)
    )
    exact = c * 1.5 + math.hypot(c * 0.5, d) / math.hypot(a * 0.5, b) * (x_0 - a * 1.5)
    return float((x - exact).square().mean().sqrt())


@pytest.mark.parametrize("schedule", [CondOT(), Cosine(), VariancePreserving()], ids=str)
def test_the_order_is_two(schedule):
    coarse, fine = (error(DPMSolverPP2M(), schedule, steps) for steps in (80, 320))
    assert abs(math.log(coarse / fine) / math.log(4) - 2) < 0.3
    assert coarse < error(DDIM(), schedule, 80) / 4


def test_one_network_call_a_step_and_the_last_returns_x_1():
    model = GeneratorModel(lambda x, t, c: x.cos(), GaussianPath(), FlowHead("x_1"))
    x = torch.tensor([[0.3], [0.4]])
    simulation = simulate(model, x, [0.0, 0.3, 0.6, 0.9, 1.0], DPMSolverPP2M())
    before = simulate(model, x, [0.0, 0.3, 0.6, 0.9], DPMSolverPP2M()).state
    assert simulation.nfe == 4
    assert_close(simulation.state, before.cos())


def test_a_line_in_log_signal_to_noise_is_the_paper_s_step():
    """Algorithm 2 by hand on the variance-preserving schedule, three steps."""
    schedule, x = VariancePreserving(), torch.tensor([[0.7]], dtype=torch.float64)
    model = GeneratorModel(
        lambda x, t, c: x.cos(), GaussianPath(schedule=schedule), FlowHead("x_1")
    )
    times = [0.1, 0.25, 0.5, 0.6]
    level = {}
    for t in times:
        alpha, sigma = (
            float(f(torch.tensor(t).double())) for f in (schedule.alpha, schedule.sigma)
        )
        level[t] = (alpha, sigma, math.log(alpha / sigma))
    by_hand, last, h_last = float(x), None, None
    for t, s in pairwise(times):
        data, h = math.cos(by_hand), level[s][2] - level[t][2]
        ahead = data if last is None else (1 + h / (2 * h_last)) * data - h / (2 * h_last) * last
        by_hand = level[s][1] / level[t][1] * by_hand - level[s][0] * math.expm1(-h) * ahead
        last, h_last = data, h
    assert float(simulate(model, x, times, DPMSolverPP2M()).state) == pytest.approx(
        by_hand, abs=1e-6
    )


@pytest.mark.parametrize("schedule", [CondOT(), Cosine()], ids=str)
@pytest.mark.parametrize("end", [0.9, 0.99, 0.999])
@pytest.mark.parametrize("steps", [10, 20])
def test_it_is_never_worse_than_euler_where_the_grid_ends_before_the_data(schedule, end, steps):
    ours, eulers = (error(s, schedule, steps, 0.0, end) for s in (DPMSolverPP2M(), Euler()))
    assert ours < 0.5 * eulers
