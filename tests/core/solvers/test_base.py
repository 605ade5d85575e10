"""Simulation: the grid, what is refused before it starts, and what it counts."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow, Generator
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.solvers import HEUN, Dopri5, Euler, Evaluation, RungeKutta, follow, simulate
from feller.core.sources import Masked
from feller.core.spaces import Tokens

X = torch.ones(2, 1)
FALL = GeneratorModel(lambda x, t, condition: -x, GaussianPath())


class Odd(Generator):
    """A kind of generator that no solver but Euler knows."""

    apply = step = average = None


class Untouchable:
    """A model that must not be called."""

    space = GaussianPath().space

    def __init__(self, *kinds):
        self.kinds = frozenset(kinds)

    def __call__(self, x, t, condition=None):
        raise AssertionError("the model was called")


@pytest.mark.parametrize("solver", [RungeKutta(HEUN), Dopri5()])
@pytest.mark.parametrize("kinds", [[Odd], [Flow, Odd]])
def test_a_solver_refuses_kinds_before_the_loop(solver, kinds):
    with pytest.raises(ValueError, match="takes Flow, but the model returns Odd"):
        simulate(Untouchable(*kinds), X, [0.0, 1.0], solver)


def test_euler_takes_every_kind():
    with pytest.raises(AssertionError, match="the model was called"):
        simulate(Untouchable(Odd), X, [0.0, 1.0], Euler())


def clocks(*values):
    return torch.tensor(values)[:, None].expand(len(values), 2)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.0], "at least two"),
        ([], "at least two"),
        ([0.0, 0.5, 0.5], "strictly rise"),
        ([1.0, 0.0], "strictly rise"),
        ([0.0, math.nan, 1.0], "strictly rise"),
        ([-0.1, 1.0], r"lie in \[0, 1\]"),
        ([0.0, 1.1], r"lie in \[0, 1\]"),
        (torch.tensor([0.5, 0.4]), "strictly rise"),
        (clocks(0.5, 0.4), "rise from step to step"),
        (clocks(-0.1, 0.4), r"lie in \[0, 1\]"),
        (clocks(0.1, 1.4), r"lie in \[0, 1\]"),
        (clocks(0.1, math.nan), "rise from step to step"),
        (clocks(0.1), "at least two"),
    ],
)
def test_bad_grids(times, message):
    with pytest.raises(ValueError, match=message):
        simulate(Untouchable(Flow), X, times, Euler())


def test_the_clock_is_a_float_where_one_serves_all():
    seen = []
    model = GeneratorModel(lambda x, t, condition: -x, GaussianPath())

    class Spy(GeneratorModel):
        def forward(self, x, t, condition=None):
            seen.append(t)
            return model(x, t)

    simulate(Spy(None, GaussianPath()), X, torch.tensor([0.0, 0.25, 1.0]), Euler())
    assert seen == [0.0, 0.25]
    assert all(isinstance(t, float) for t in seen)


def test_follow_yields_every_state_after_the_first():
    states = list(follow(Evaluation(FALL), X, [0.0, 0.5, 0.75], Euler()))
    assert_close(torch.stack(states)[:, 0, 0], torch.tensor([0.5, 0.375]))
    assert_close(simulate(FALL, X, [0.0, 0.5, 0.75], Euler()).state, states[-1])


def test_the_start_is_not_changed():
    x_0 = torch.ones(2, 1)
    for solver in (Euler(), RungeKutta(), Dopri5()):
        simulate(FALL, x_0, [0.0, 0.5, 0.9], solver)
    assert torch.equal(x_0, torch.ones(2, 1))


def test_a_simulation_keeps_no_graph():
    model = GeneratorModel(lambda x, t, condition: weight * x, GaussianPath())
    weight = torch.ones((), requires_grad=True)
    assert not simulate(model, X, [0.0, 1.0], Euler()).state.requires_grad
    assert torch.is_grad_enabled()


def test_the_condition_reaches_the_model():
    model = GeneratorModel(lambda x, t, condition: condition, GaussianPath())
    state = simulate(
        model, X, [0.0, 0.5, 1.0], Euler(), condition=torch.tensor([[2.0], [4.0]])
    ).state
    assert_close(state, torch.tensor([[3.0], [5.0]]))


def test_no_samples_are_fine():
    assert simulate(FALL, torch.zeros(0, 3), [0.0, 1.0], Euler()).state.shape == (0, 3)


@pytest.mark.parametrize(
    ("path", "x_0", "message"),
    [
        (
            GaussianPath(),
            torch.zeros(2, 1).long(),
            r"x_0 is floating point of shape \(b, \*event\)",
        ),
        (GaussianPath(), torch.zeros(2), r"not torch\.float32 of \(2,\)"),
        (MixturePath(Tokens(3), Masked(2)), torch.zeros(2, 1), "x_0 is integers of shape"),
        (ProductPath({"a": GaussianPath()}), X, r"x_0 is a dict of the factors \['a'\]"),
        (ProductPath({"a": GaussianPath()}), {"b": X}, r"x_0 is a dict of the factors \['a'\]"),
    ],
)
def test_the_start_is_a_state_of_the_space(path, x_0, message):
    model = Untouchable(Flow)
    model.space = path.space
    with pytest.raises(ValueError, match=message):
        simulate(model, x_0, [0.0, 1.0], Euler())
