"""Guidance: by algebra, on its interval, and what it costs."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow, Generator
from feller.core.guidance import Guided
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath
from feller.core.solvers import Euler, simulate

CONDITION = torch.tensor([[3.0], [5.0]])
X = torch.zeros(2, 1)


def network(x, t, condition):
    """Velocity -1 without a condition, else the condition."""
    return torch.full_like(x, -1.0) if condition is None else condition


MODEL = GeneratorModel(network, GaussianPath())


@pytest.mark.parametrize("t", [0.5, torch.tensor([0.2, 0.9])])
@pytest.mark.parametrize(
    ("scale", "expected"),
    [(0.0, [-1.0, -1.0]), (1.0, [3.0, 5.0]), (2.0, [7.0, 11.0]), (0.5, [1.0, 2.0])],
)
def test_the_scale(scale, expected, t):
    velocity = Guided(MODEL, scale)(X, t, CONDITION).velocity
    assert_close(velocity[:, 0], torch.tensor(expected))


def test_without_a_condition_nothing_is_guided():
    assert_close(Guided(MODEL, 2.0)(X, 0.5).velocity, -torch.ones(2, 1))


@pytest.mark.parametrize(("t", "inside"), [(0.1, False), (0.2, True), (0.5, True), (0.9, False)])
def test_outside_its_interval_the_model_is_conditional(t, inside):
    guided = Guided(MODEL, 2.0, (0.2, 0.8))
    assert_close(guided(X, t, CONDITION).velocity, 2 * CONDITION + 1 if inside else CONDITION)
    assert guided.network_calls(t) == 1 + inside
    clock = torch.tensor([t, 0.5])
    rows = guided(X, clock, CONDITION).velocity[:, 0]
    assert_close(rows, torch.tensor([7.0 if inside else 3.0, 11.0]))


def test_every_element_is_guided_by_its_own_clock():
    clock = torch.tensor([[0.1, 0.5], [0.5, 0.9]])
    condition = torch.full((2, 2), 3.0)
    velocity = Guided(MODEL, 2.0, (0.2, 0.8))(torch.zeros(2, 2), clock, condition).velocity
    assert_close(velocity, torch.tensor([[3.0, 7.0], [7.0, 3.0]]))


@pytest.mark.parametrize(
    ("scale", "interval", "condition", "nfe"),
    [
        (2.0, (0.0, 1.0), CONDITION, 8),
        (2.0, (0.2, 0.6), CONDITION, 6),  # of 0, 1/4, 1/2 and 3/4, two are inside
        (1.0, (0.0, 1.0), CONDITION, 4),
        (2.0, (0.0, 1.0), None, 4),
    ],
)
def test_network_calls_are_counted(scale, interval, condition, nfe):
    guided = Guided(MODEL, scale, interval)
    times = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert simulate(guided, X, times, Euler(), condition=condition).nfe == nfe


def test_a_guided_model_is_a_model():
    guided = Guided(MODEL)
    assert isinstance(guided, Model)
    assert (guided.space, guided.kinds) == (MODEL.space, MODEL.kinds)


@pytest.mark.parametrize("interval", [(0.5, 0.5), (0.8, 0.2), (-0.1, 0.5), (0.0, 1.1)])
def test_an_interval_is_one(interval):
    with pytest.raises(ValueError, match="0 <= low < high <= 1"):
        Guided(MODEL, 2.0, interval)


def test_only_flows_are_guided():
    class Odd(Generator):
        apply = step = average = None

    class OddModel:
        space, kinds = MODEL.space, frozenset({Odd})

        def __call__(self, x, t, condition=None):
            return Odd()

    with pytest.raises(ValueError, match="guidance of a Odd is not known; use a Flow"):
        Guided(OddModel())(X, 0.5, CONDITION)
    assert Flow not in OddModel.kinds
