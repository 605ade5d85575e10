"""Weights of steps: numbers made once for a grid, so that a step is its passes over the states."""

from collections import Counter

import pytest
import torch
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from feller.core.generators import Flow
from feller.core.models import Model
from feller.core.paths import GaussianPath
from feller.core.schedules import CondOT, Cosine, VariancePreserving
from feller.core.solvers import DDIM, Euler, named_solver, simulate
from feller.core.solvers.coefficients import Coefficients, combine

X = torch.linspace(-2, 2, 6).reshape(3, 2)
GRID = [0.1, 0.3, 0.6, 0.9]


class Calls(TorchDispatchMode):
    """Counts the kernels that are called."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


class Still(Model):
    """A flow whose velocity costs nothing."""

    kinds, finite_at_end = frozenset({Flow}), True
    velocity = X.sin()

    def __init__(self, schedule):
        self.path = GaussianPath(schedule=schedule)

    def __call__(self, x, t, condition=None):
        return Flow(self.velocity.to(x))


def kernels_a_step(solver, schedule):
    """What ten steps call beyond what five do, by five."""
    counts = []
    for steps in (5, 10):
        times = [0.05 + 0.09 * i for i in range(steps + 1)]
        with Calls() as calls, torch.no_grad():
            simulate(Still(schedule), X, times, solver, torch.Generator().manual_seed(0))
        counts.append(calls.names)
    return {name: (counts[1][name] - counts[0][name]) / 5 for name in counts[1] - counts[0]}


@pytest.mark.parametrize(
    ("solver", "schedule", "expected"),
    [
        (Euler(), Cosine(), {"add": 1}),
        (DDIM(), CondOT(), {"add": 1}),
        (DDIM(), Cosine(), {"mul": 1, "add_": 1}),
        (DDIM(), VariancePreserving(), {"mul": 1, "add_": 1}),
        (DDIM(churn=1.0), VariancePreserving(), {"mul": 1, "add_": 2, "randn": 1}),
        (named_solver("dpm++"), Cosine(), {"mul": 2, "add_": 3}),
        (named_solver("heun"), CondOT(), {"add": 2, "add_": 1}),
        (named_solver("mixed"), CondOT(), {"add": 2}),
    ],
    ids=str,
)
def test_a_step_is_its_passes_over_the_states(solver, schedule, expected):
    found = kernels_a_step(solver, schedule)
    assert {name: n for name, n in found.items() if name != "view"} == expected


@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpm++", "predictor_corrector"])
@pytest.mark.parametrize("schedule", [CondOT(), Cosine(), VariancePreserving()], ids=str)
def test_one_clock_steps_as_clocks_of_samples_do(name, schedule):
    def end(times):
        rng = torch.Generator().manual_seed(0)
        return simulate(Still(schedule), X.double(), times, named_solver(name), rng).state

    clocks = torch.tensor(GRID, dtype=torch.float64)[:, None].repeat(1, 3)
    assert_close(end(clocks), end(GRID), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["ddim", "dpm++"])
@pytest.mark.parametrize("schedule", [CondOT(), Cosine()], ids=str)
def test_what_is_finite_at_the_data_steps_back_from_there(name, schedule):
    times, fine = ([1 - 0.2 * i / steps for i in range(steps + 1)] for steps in (20, 400))
    back = simulate(Still(schedule), X, times, named_solver(name)).state
    assert_close(back, simulate(Still(schedule), X, fine, Euler()).state, rtol=0, atol=0.01)


def test_weights_are_those_of_the_rule():
    def rule(t, s):
        return t * s, s.square()

    steps = [(0.0, 0.5), (0.5, 1.0)]
    for coefficients in (Coefficients(rule, steps), Coefficients(rule)):
        assert [coefficients.at(X, *step) for step in steps] == [(0.0, 0.25), (0.5, 1.0)]


@pytest.mark.parametrize("weights", [(1.0, 0.0, 2.0), (0.5, 3.0, 0.0), (1.0, 0.0, 0.0)])
def test_a_weighted_sum_leaves_its_terms_alone(weights):
    terms = [X.clone(), X.cos(), X.sin()]
    before = [term.clone() for term in terms]
    expected = sum(w * term for w, term in zip(weights, terms, strict=True))
    assert_close(combine(weights, terms), expected)
    assert_close(combine(tuple(map(torch.tensor, weights)), terms), expected)
    assert all(a.equal(b) for a, b in zip(terms, before, strict=True))
