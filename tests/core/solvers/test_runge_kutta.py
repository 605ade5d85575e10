"""Runge-Kutta methods: their order on one normal, their cost, and their last step."""

import math

import pytest
import torch
import torchdiffeq
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.grids import uniform_grid
from feller.core.guidance import Guided
from feller.core.heads import FlowHead
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath
from feller.core.posteriors import NormalMixture
from feller.core.schedules import Cosine
from feller.core.solvers import (
    HEUN,
    MIDPOINT,
    RK4,
    Euler,
    RungeKutta,
    Tableau,
    named_solver,
    simulate,
)
from feller.core.spaces import Sphere, Torus

# On the CondOT path with one normal the midpoint rule happens to be of order 3.
NORMAL = NormalMixture(
    GaussianPath(schedule=Cosine()),
    torch.tensor([[1.5]]).double(),
    torch.tensor([0.5]).double(),
    torch.tensor([1.0]).double(),
)
METHODS = {"midpoint": MIDPOINT, "heun": HEUN, "rk4": RK4}


def error(solver, steps, end=0.8):
    """The distance from alpha m + sqrt(alpha^2 s^2 + sigma^2) x_0, which solves the flow."""
    x_0 = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    x = simulate(NORMAL, x_0, [end * i / steps for i in range(steps + 1)], solver).state
    alpha, sigma = math.sin(math.pi / 2 * end), math.cos(math.pi / 2 * end)
    exact = alpha * 1.5 + math.hypot(alpha * 0.5, sigma) * x_0
    return (x - exact).square().mean().sqrt()


@pytest.mark.parametrize(
    ("name", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)]
)
def test_the_order_of_convergence(name, order):
    coarse, fine = (error(named_solver(name), steps) for steps in (20, 80))
    slope = math.log(coarse / fine) / math.log(4)
    assert abs(slope - order) < 0.25


@pytest.mark.parametrize("tableau", METHODS.values(), ids=METHODS)
def test_a_tableau_is_consistent(tableau):
    assert sum(tableau.weights) == pytest.approx(1)
    assert [sum(row) for row in tableau.matrix] == pytest.approx(list(tableau.nodes))


@pytest.mark.parametrize(
    ("name", "inside", "to_the_end"),
    [("euler", 5, 5), ("midpoint", 10, 10), ("heun", 10, 9), ("rk4", 20, 17)],
)
def test_network_calls(name, inside, to_the_end):
    """A step into t = 1 is Euler's where the model is not finite there."""
    model = GeneratorModel(lambda x, t, condition: -x, GaussianPath(), FlowHead("x_1"))
    x_0 = torch.zeros(2, 1)
    assert simulate(model, x_0, uniform_grid(5, end=0.9), named_solver(name)).nfe == inside
    assert simulate(model, x_0, uniform_grid(5), named_solver(name)).nfe == to_the_end


@pytest.mark.parametrize("tableau", [HEUN, RK4], ids=["heun", "rk4"])
@pytest.mark.parametrize("shape", [(), (2,), (2, 1)])
def test_the_step_into_the_data_takes_what_the_model_predicts(tableau, shape):
    model = GeneratorModel(lambda x, t, condition: x.cos(), GaussianPath(), FlowHead("x_1"))
    x = torch.tensor([[0.3], [0.4]])
    times = torch.tensor([0.9, 1.0])[(...,) + (None,) * len(shape)].expand(2, *shape)
    assert_close(simulate(model, x, times, RungeKutta(tableau)).state, x.cos())


def velocity(x, t, condition=None):
    """The flow of one normal of mean 1.5 and deviation .5, which is finite at t = 1."""
    alpha, sigma = torch.sin(math.pi / 2 * t), torch.cos(math.pi / 2 * t)
    alpha_dot, sigma_dot = math.pi / 2 * sigma, -math.pi / 2 * alpha
    variance = alpha**2 * 0.25 + sigma**2
    slope = (alpha * alpha_dot * 0.25 + sigma * sigma_dot) / variance
    return alpha_dot[:, None] * 1.5 + slope[:, None] * (x - alpha[:, None] * 1.5)


@pytest.mark.parametrize(
    ("name", "theirs", "calls"), [("rk4", "rk4", 80), ("heun", "heun2", 40), ("euler", "euler", 20)]
)
@pytest.mark.parametrize("guided", [False, True])
def test_a_velocity_that_is_finite_at_the_data_is_followed_to_the_end(name, theirs, calls, guided):
    """At equal calls the error is at most twice that of torchdiffeq."""
    model = GeneratorModel(velocity, GaussianPath(schedule=Cosine()))
    model = Guided(model, 2.0) if guided else model
    x_0 = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    times, exact = torch.linspace(0, 1, 21, dtype=torch.float64), 1.5 + 0.5 * x_0
    found = simulate(model, x_0, times, named_solver(name), condition=1)
    other = torchdiffeq.odeint(
        lambda t, x: velocity(x, t.expand(len(x))), x_0, times, method=theirs
    )
    assert (found.state - exact).norm() < 2 * (other[-1] - exact).norm()
    assert found.nfe == calls * (1 + guided)


def test_a_tableau_of_one_stage_is_eulers():
    x_0 = torch.randn(3, 1).double()
    tableau = Tableau((), (), (1.0,))
    euler = simulate(NORMAL, x_0, [0.0, 0.2, 0.6], Euler()).state
    assert_close(simulate(NORMAL, x_0, [0.0, 0.2, 0.6], RungeKutta(tableau)).state, euler)


class Turn(Model):
    """A turn about the third axis, faster where that is large: its flow is known."""

    path, kinds, space, finite_at_end = None, frozenset({Flow}), Sphere(), True

    def __call__(self, x, t, condition=None):
        a, b, c = x.unbind(-1)
        return Flow((1 + c[..., None]) * torch.stack([-b, a, torch.zeros_like(c)], -1))


@pytest.mark.parametrize(("name", "order"), [("midpoint", 2), ("heun", 2), ("rk4", 4)])
def test_the_order_stays_on_a_sphere(name, order):
    a = torch.tensor([0.3, 2.0], dtype=torch.float64)
    x_0 = torch.stack([a.sin(), torch.zeros_like(a), a.cos()], -1)
    angle = 2.5 * (1 + a.cos())  # after time 1, at 2.5 times the speed
    exact = torch.stack([a.sin() * angle.cos(), a.sin() * angle.sin(), a.cos()], -1)

    class Fast(Turn):
        def __call__(self, x, t, condition=None):
            return Flow(2.5 * super().__call__(x, t).velocity)

    errors = []
    for steps in (10, 40):
        x = simulate(Fast(), x_0, [i / steps for i in range(steps + 1)], named_solver(name))
        Sphere().check(x.state)
        errors.append((x.state - exact).norm())
    assert math.log(errors[0] / errors[1]) / math.log(4) > order - 0.4


def test_a_torus_is_wrapped():
    class Round(Model):
        path, kinds, space, finite_at_end = None, frozenset({Flow}), Torus(), True

        def __call__(self, x, t, condition=None):
            return Flow(torch.full_like(x, 4.0))

    x = simulate(Round(), torch.zeros(1, 1), [0.0, 0.5, 1.0], named_solver("rk4")).state
    assert_close(x, torch.full((1, 1), 4.0 - 2 * math.pi))


@pytest.mark.parametrize("name", ["dopri5"])
def test_curved_spaces_are_refused_before_the_model_is_called(name):
    class Untouchable(Model):
        kinds, space = frozenset({Flow}), Sphere()
        path = None

        def __call__(self, x, t, condition=None):
            raise AssertionError("the model was called")

    with pytest.raises(ValueError, match="on Euclidean space, not on Sphere"):
        simulate(Untouchable(), torch.eye(2), [0.0, 0.5], named_solver(name))
