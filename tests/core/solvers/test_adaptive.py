"""Dormand and Prince's method: its tolerance, its dense output, its cost against torchdiffeq."""

import math
from itertools import pairwise

import pytest
import torch
import torchdiffeq
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.solvers import Dopri5, Evaluation, follow, simulate
from feller.core.solvers.adaptive import _DENSE, _ERROR, _MATRIX, _NODES

NORMAL = NormalMixture(
    GaussianPath(),
    torch.tensor([[1.5]]).double(),
    torch.tensor([0.5]).double(),
    torch.tensor([1.0]).double(),
)
X_0 = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]


def exact(x_0, t):
    return t * 1.5 + math.sqrt(t**2 * 0.5**2 + (1 - t) ** 2) * x_0


def test_the_tableau_is_consistent():
    assert [sum(row) for row in _MATRIX] == pytest.approx(list(_NODES))
    for order in range(1, 5):  # the quadrature conditions of order 5
        moment = sum(w * c**order for w, c in zip(_MATRIX[-1], (0, *_NODES[:-1]), strict=True))
        assert moment == pytest.approx(1 / (order + 1))
    assert sum(_ERROR) == pytest.approx(0)
    assert sum(_DENSE) == pytest.approx(0)


def test_the_error_falls_with_the_tolerance():
    errors = []
    for tolerance in (1e-3, 1e-5, 1e-7, 1e-9):
        solver = Dopri5(rtol=tolerance, atol=tolerance)
        state = simulate(NORMAL, X_0, [0.0, 0.95], solver).state
        errors.append((state - exact(X_0, 0.95)).abs().max().item())
        assert errors[-1] < 10 * tolerance
    assert all(fine < coarse / 5 for coarse, fine in pairwise(errors))


def field(x, t):
    """A velocity that is smooth up to t = 1, with bends to follow."""
    return 3 * torch.sin(x @ torch.tensor([[1.0, -2.0], [3.0, 0.5]]).double() + 6 * t) - x


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("end", [0.5, 1.0])
def test_it_is_as_good_as_torchdiffeq(tolerance, end, rng):
    model = GeneratorModel(lambda x, t, condition: field(x, t[:, None]), GaussianPath())
    x_0, calls = torch.randn(50, 2, generator=rng, dtype=torch.float64), []

    def velocity(t, x):
        calls.append(t)
        return field(x, t)

    exact = simulate(model, x_0, [0.0, end], Dopri5(rtol=1e-11, atol=1e-11)).state
    ours = simulate(model, x_0, [0.0, end], Dopri5(rtol=tolerance, atol=tolerance))
    times, tolerances = torch.tensor([0.0, end]).double(), {"rtol": tolerance, "atol": tolerance}
    theirs = torchdiffeq.odeint(velocity, x_0, times, method="dopri5", **tolerances)[-1]
    assert (ours.state - exact).abs().max() < 2 * (theirs - exact).abs().max()
    assert len(calls) / 1.5 < ours.nfe < 1.5 * len(calls)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
def test_a_fine_grid_is_accurate_and_costs_nothing(tolerance):
    solver = Dopri5(rtol=tolerance, atol=tolerance)
    times = [0.9 * i / 60 for i in range(61)]
    evaluation = Evaluation(NORMAL)
    for t, x in zip(times[1:], follow(evaluation, X_0, times, solver), strict=True):
        assert_close(x, exact(X_0, t), rtol=0, atol=20 * tolerance)
    coarse = simulate(NORMAL, X_0, [0.0, 0.9], solver)
    assert evaluation.nfe == coarse.nfe
    assert_close(x, coarse.state, rtol=0, atol=0)


def test_a_state_changed_from_outside_is_taken_up():
    solver, evaluation = Dopri5(), Evaluation(NORMAL)
    x = solver.step(evaluation, X_0, 0.0, 0.3, None)
    x = solver.step(evaluation, x + 1, 0.3, 0.6, None)
    expected = exact((exact(X_0, 0.3) + 1 - 0.45) / math.sqrt(0.3**2 * 0.25 + 0.49), 0.6)
    assert_close(x, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("end", [0.9, 0.99, 0.9999])
def test_a_model_that_is_singular_at_the_data_may_be_approached(end):
    model = FiniteData(GaussianPath(), Flow, torch.tensor([[3.0]]))
    simulation = simulate(model, torch.zeros(2, 1), [0.0, end], Dopri5())
    assert_close(simulation.state, torch.full((2, 1), 3 * end))
    assert simulation.nfe <= 80  # a rejected step into t = 1 costs six


def test_a_singular_model_is_not_simulated_to_the_data():
    model = FiniteData(GaussianPath(), Flow, torch.tensor([[-2.0], [3.0]]))
    with pytest.raises(ValueError, match="not finite at t = 1: end the grid before"):
        simulate(model, torch.ones(2, 1), [0.0, 1.0], Dopri5())


def test_a_smooth_model_is_simulated_to_the_data():
    model = GeneratorModel(lambda x, t, condition: -x, GaussianPath())
    state = simulate(model, torch.ones(2, 1), [0.0, 1.0], Dopri5()).state
    assert_close(state, torch.full((2, 1), math.exp(-1)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_constant_velocity(value):
    model = GeneratorModel(lambda x, t, condition: torch.full_like(x, value), GaussianPath())
    simulation = simulate(model, torch.zeros(2, 1), [0.0, 1.0], Dopri5())
    assert_close(simulation.state, torch.full((2, 1), value))
    assert simulation.nfe < 70


@pytest.mark.parametrize("end", [0.9, 0.95])
def test_the_model_is_not_asked_after_the_end(end):
    asked = []

    def velocity(x, t, condition):
        asked.extend(torch.as_tensor(t).flatten().tolist())
        return -x

    model = GeneratorModel(velocity, GaussianPath())
    state = simulate(model, torch.ones(2, 1), [0.0, 0.9], Dopri5(end=end)).state
    assert_close(state, torch.full((2, 1), math.exp(-0.9)), rtol=0, atol=1e-4)
    assert 0.899 < max(asked) <= end + 1e-6


def test_a_grid_that_passes_the_end_is_refused():
    with pytest.raises(ValueError, match=r"continues to 0.9, after the end of Dopri5, 0.5"):
        simulate(NORMAL, X_0, [0.0, 0.9], Dopri5(end=0.5))


def test_it_gives_up_aloud():
    with pytest.raises(ValueError, match="no end after 3 steps"):
        simulate(NORMAL, X_0, [0.0, 0.9], Dopri5(rtol=1e-9, atol=1e-9, max_steps=3))


def test_a_batch_keeps_one_clock():
    with pytest.raises(ValueError, match="one clock for the batch"):
        simulate(NORMAL, X_0, torch.zeros(2, 9) + torch.tensor([[0.0], [0.5]]), Dopri5())
