"""Simulation: the grid, what is refused before it starts, and what it counts."""

import inspect
import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow, Generator, Jump
from feller.core.generators.base import is_kind
from feller.core.guidance import Guided
from feller.core.heads import FlowHead
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.posteriors import FiniteData
from feller.core.reweighted import Reweighted
from feller.core.solvers import (
    HEUN,
    SOLVERS,
    Dopri5,
    Euler,
    Evaluation,
    RungeKutta,
    Solver,
    base,
    follow,
    named_solver,
    simulate,
)
from feller.core.solvers.clocks import clocks_of
from feller.core.sources import Masked
from feller.core.spaces import Tokens

X = torch.ones(2, 1)
WEIGHT = torch.nn.Parameter(torch.tensor(2.0))
FALL = GeneratorModel(lambda x, t, condition: -x, GaussianPath())


class Odd(Generator):
    """A kind of generator that no solver but Euler knows."""

    apply = step = average = None


class Given(Model):
    """A model whose velocity is any function of the state."""

    space = GaussianPath().space
    path = GaussianPath()
    kinds = frozenset({Flow})

    def __init__(self, velocity):
        self.velocity = velocity

    def __call__(self, x, t, condition=None):
        return Flow(self.velocity(x))


class Untouchable(Model):
    """A model that must not be called."""

    path = None
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
        ([1.0, 0.0, 0.5], "strictly rise"),
        ([0.0, math.nan, 1.0], "strictly rise"),
        ([-0.1, 1.0], r"lie in \[0, 1\]"),
        ([0.0, 1.1], r"lie in \[0, 1\]"),
        ([1.1, 0.0], r"lie in \[0, 1\]"),
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


@pytest.mark.parametrize("shape", [(2,), (1, 1), (3, 1)])
def test_what_a_model_returns_does_not_broadcast(shape):
    """A velocity (b,) made (b, b) states out of (b, 1), without a word."""
    model = Given(lambda x: torch.ones(shape))
    with pytest.raises(ValueError, match=r"a velocity of shape .* is not one of states \(2, 1\)"):
        simulate(model, X, [0.0, 1.0], Euler())


def test_a_network_of_another_shape_is_told():
    model = GeneratorModel(lambda x, t, condition: -x[:, 0], GaussianPath())
    with pytest.raises(ValueError, match=r"an output \(2, 1\), the network gave \(2,\)"):
        simulate(model, X, [0.0, 1.0], Euler())


ASKS = torch.ones(2, 1, requires_grad=True)


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("x_0", lambda: simulate(FALL, ASKS, [0.0, 1.0], Euler())),
        ("x_0", lambda: simulate(FALL, ASKS * 2, [0.0, 1.0], Euler())),
        ("model", lambda: simulate(ASKS * FALL, X, [0.0, 1.0], Euler())),
        ("model", lambda: simulate(Reweighted(1.0 * FALL, (ASKS,)), X, [0.0, 1.0], Euler())),
        ("condition", lambda: simulate(FALL, X, [0.0, 1.0], Euler(), condition=ASKS)),
        ("times", lambda: simulate(FALL, X, torch.tensor([0.0, 1.0], requires_grad=True), Euler())),
    ],
)
def test_a_gradient_is_refused_where_one_is_asked_for(name, ask):
    with pytest.raises(ValueError, match=f"simulate gives no gradient, and {name} asks for one"):
        ask()


def test_models_with_parameters_are_sampled_as_they_are():
    model = GeneratorModel(lambda x, t, condition: x * WEIGHT, GaussianPath())
    model.scale = WEIGHT
    assert torch.is_grad_enabled()
    state = simulate(0.5 * model + 0.5 * Guided(model), X, [0.0, 1.0], Euler()).state
    assert_close(state, torch.full_like(X, 3.0))
    assert not state.requires_grad
    with torch.no_grad():
        simulate(model, ASKS, [0.0, 1.0], Euler())


@pytest.mark.parametrize("times", [10, 1.0, torch.tensor(1.0)])
def test_a_number_of_steps_is_no_grid(times):
    with pytest.raises(ValueError, match="times are a grid, such as uniform_grid"):
        inspect.unwrap(clocks_of)(times)


def test_states_are_tensors():
    with pytest.raises(ValueError, match=r"x_0 is a tensor .* not a ndarray"):
        inspect.unwrap(base._check_start)(FALL.space, X.numpy())


FLOW_SOLVERS = [name for name, make in SOLVERS.items() if is_kind(Flow, make().takes)]


@pytest.mark.parametrize("name", FLOW_SOLVERS)
@pytest.mark.parametrize("prediction", ["velocity", "x_1"])
def test_samples_at_the_data_stay_whatever_the_model_predicts(name, prediction):
    model = GeneratorModel(lambda x, t, c: x.cos(), GaussianPath(), FlowHead(prediction))
    times = torch.tensor([[0.5, 1.0], [0.8, 1.0], [1.0, 1.0]])
    if named_solver(name).shares_clock:
        with pytest.raises(ValueError, match="one clock for the batch"):
            simulate(model, X, times, named_solver(name))
        return
    state = simulate(model, X, times, named_solver(name)).state
    assert state[1] == X[1]
    assert state.isfinite().all()


@pytest.mark.parametrize("solver", [named_solver(name) for name in FLOW_SOLVERS])
def test_no_samples_are_simulated_to_none(solver):
    assert simulate(FALL, X[:0], [0.0, 1.0], solver).state.shape == X[:0].shape


def test_no_samples_have_no_clocks():
    assert simulate(FALL, X[:0], torch.zeros(3, 0), Euler()).state.shape == X[:0].shape


class Countdown(Solver):
    """Carries how many steps are left beside the state, and has times of its own."""

    takes = frozenset({Generator})
    own_times = True

    def begin(self, model, x_0, times, rng):
        self.seen = times
        return x_0, 3

    def step(self, model, x, t, s, rng):
        return x[0] + 1, x[1] - 1

    def done(self, state):
        return state[1] == 0

    def finish(self, state):
        return state[0]


def test_a_solver_may_carry_more_than_a_state_and_end_early():
    x = torch.zeros(2, 1)
    assert_close(simulate(FALL, x, None, Countdown()).state, x + 3)
    assert_close(simulate(FALL, x, torch.linspace(0, 1, 3), Countdown()).state, x + 2)
    assert [float(state[0]) for state in follow(Evaluation(FALL), x, None, Countdown())] == [
        1,
        2,
        3,
    ]


def test_only_a_solver_with_times_of_its_own_goes_without():
    with pytest.raises(ValueError, match="times are a grid"):
        simulate(FALL, X, None, Euler())


BACKWARD = [name for name in FLOW_SOLVERS if named_solver(name).reverses]


@pytest.mark.parametrize("name", BACKWARD)
def test_a_flow_runs_back_to_where_it_came_from(name):
    x_0, times = (
        torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None],
        torch.linspace(0, 0.95, 200),
    )
    model = GeneratorModel(lambda x, t, c: torch.tanh(x) + t[:, None], GaussianPath())
    x = simulate(model, x_0, times, named_solver(name)).state
    assert (x - x_0).abs().min() > 0.3
    back = simulate(model, x, times.flip(0), named_solver(name))
    assert_close(back.state, x_0, rtol=0, atol=0.03)
    assert back.nfe == simulate(model, x_0, times, named_solver(name)).nfe or name == "dopri5"


def test_from_the_data_only_what_is_finite_there_runs_back():
    grid = [1.0, 0.5, 0.0]
    assert simulate(FALL, X, grid, RungeKutta(HEUN)).state.isfinite().all()
    model = GeneratorModel(lambda x, t, c: x, GaussianPath(), FlowHead("x_1"))
    with pytest.raises(ValueError, match="not finite at t = 1: start a grid that falls before it"):
        simulate(model, X, grid, RungeKutta(HEUN))


@pytest.mark.parametrize("name", [name for name in SOLVERS if not named_solver(name).reverses])
def test_what_draws_does_not_run_back(name):
    with pytest.raises(ValueError, match=r"only flows run back in time|takes Jump"):
        simulate(FALL, X, [0.9, 0.5], named_solver(name))


def test_only_flows_run_back():
    model = FiniteData(GaussianPath(), Jump, X)
    with pytest.raises(ValueError, match=r"only flows run back in time, .*not Jump by Euler"):
        simulate(model, X, [0.9, 0.5], Euler())


class FlowMap(torch.nn.Module):
    """The average velocity of dx/dt = -x from t to s: what MeanFlow learns."""

    takes_next = True

    def forward(self, x, t, condition, s):
        h = (s - t)[:, None]
        return torch.where(h == 0, -x, x * torch.expm1(-h) / h)


def test_a_network_that_asks_for_it_is_told_where_the_step_ends():
    model = GeneratorModel(FlowMap(), GaussianPath())
    x = torch.ones(2, 1, dtype=torch.float64)
    for times in ([0.0, 1.0], [0.0, 0.3, 1.0], torch.tensor([[0.0, 0.0], [1.0, 1.0]])):
        assert_close(simulate(model, x, times, Euler()).state, x * math.exp(-1), rtol=1e-6, atol=0)
    # Elsewhere it gives its velocity at one time: that of a step of no length.
    assert_close(model(x, 0.5).velocity, -x)
    found = simulate(model, x, torch.linspace(0, 1, 41), RungeKutta(HEUN)).state
    assert_close(found, x * math.exp(-1), rtol=1e-3, atol=0)


def test_a_network_alone_is_no_model():
    with pytest.raises(ValueError, match="Linear is not a model: use GeneratorModel"):
        inspect.unwrap(base.Evaluation.__init__)(object(), torch.nn.Linear(1, 1))
