"""Parametrizations: each to each and back, and the closed forms of the CondOT path."""

import inspect
import itertools
from typing import get_args

import pytest
import torch
from torch.testing import assert_close

from feller.core.parametrizations import Parametrization, convert
from feller.core.schedules import CondOT, Cosine, Polynomial, VariancePreserving

NAMES = get_args(Parametrization)
SCHEDULES = [CondOT(), Cosine(), Polynomial(), Polynomial(3.0), VariancePreserving()]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=str)


def example(schedule, t, rng):
    """A state, and what determines it, from its data and its noise."""
    x_1, noise = torch.randn(2, 6, 4, 3, generator=rng, dtype=torch.float64)
    wide = t.reshape(t.shape + (1,) * (3 - t.ndim))
    velocity = schedule.alpha_dot(wide) * x_1 + schedule.sigma_dot(wide) * noise
    x = schedule.alpha(wide) * x_1 + schedule.sigma(wide) * noise
    values = {"velocity": velocity, "x_1": x_1, "noise": noise}
    values["v"] = schedule.alpha(wide) * noise - schedule.sigma(wide) * x_1
    return x, values | {"score": -noise / schedule.sigma(wide)}


@every_schedule
@pytest.mark.parametrize("pair", [*itertools.product(NAMES, NAMES)], ids=" to ".join)
@pytest.mark.parametrize("clock", [(), (6,), (6, 4)])
def test_each_to_each(schedule, pair, clock, rng):
    t = 0.05 + 0.9 * torch.rand(clock, generator=rng, dtype=torch.float64)
    x, values = example(schedule, t, rng)
    known, asked = pair
    converted = convert(values[known], pair, schedule, x, t)
    assert_close(converted, values[asked], rtol=1e-9, atol=1e-9)
    back = convert(converted, (asked, known), schedule, x, t)
    assert_close(back, values[known], rtol=1e-9, atol=1e-9)


def test_the_closed_forms_of_conditional_optimal_transport(rng):
    x, v = torch.randn(2, 5, 3, generator=rng, dtype=torch.float64)
    t = 0.3

    def from_velocity(asked):
        return convert(v, ("velocity", asked), CondOT(), x, t)

    assert_close(from_velocity("score"), (t * v - x) / (1 - t))
    assert_close(from_velocity("x_1"), x + (1 - t) * v)
    assert_close(from_velocity("noise"), x - t * v)


@pytest.mark.parametrize("known", ["velocity", "x_1"])
def test_at_the_source_the_state_is_noise(known, rng):
    x, value = torch.randn(2, 5, 3, generator=rng, dtype=torch.float64)
    assert_close(convert(value, (known, "noise"), CondOT(), x, 0.0), x)


def test_a_velocity_says_where_it_leads_at_any_time(rng):
    x, v = torch.randn(2, 5, 3, generator=rng)
    assert_close(convert(v, ("velocity", "x_1"), CondOT(), x, 1.0), x)


@pytest.mark.parametrize("pair", [("x_0", "velocity"), ("velocity", "x_0"), ("x_0", "noise")])
def test_an_unknown_name(pair):
    with pytest.raises((ValueError, TypeError)):  # a TypeError from the checker of the tests
        inspect.unwrap(convert)(torch.zeros(1), pair, CondOT(), torch.zeros(1), 0.5)


@pytest.mark.parametrize("known", ["noise", "score"])
@pytest.mark.parametrize("schedule", [CondOT(), Cosine(), Polynomial()], ids=str)
def test_noise_says_nothing_of_the_data_at_the_source(known, schedule):
    x = torch.ones(2, 3)
    for t in (0.0, torch.tensor([0.5, 0.0])):
        for asked in ("velocity", "x_1"):
            with pytest.raises(
                ValueError, match=f"at t = 0 the {known} on {type(schedule).__name__}"
            ):
                convert(x, (known, asked), schedule, x, t)
    other = {"noise": "score", "score": "noise"}[known]
    assert_close(convert(x, (known, other), schedule, x, 0.0), -x)
    assert convert(x, (known, "velocity"), VariancePreserving(), x, 0.0).isfinite().all()


def test_where_no_data_move_yet_the_state_is_noise_and_tells_no_data():
    x = torch.tensor([[1.0, -2.0]], requires_grad=True)
    velocity = torch.zeros(1, 2)
    noise = convert(velocity, ("velocity", "noise"), Polynomial(), x, 0.0)
    assert_close(noise, x)
    assert_close(convert(velocity, ("velocity", "score"), Polynomial(), x, 0.0), -x)
    assert_close(torch.autograd.grad(noise.sum(), x)[0], torch.ones(1, 2))
    with pytest.raises(
        ValueError, match=r"the velocity on Polynomial\(power=2\.0\) says nothing of"
    ):
        convert(velocity, ("velocity", "x_1"), Polynomial(), x, 0.0)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_a_v_prediction_tells_data_and_noise_at_all_times(t, rng):
    """On CondOT it is minus the data at t = 0 and the noise at t = 1, where x is the other."""
    x_1, noise = torch.randn(2, 5, 3, generator=rng, dtype=torch.float64)
    x, v = t * x_1 + (1 - t) * noise, t * noise - (1 - t) * x_1
    assert_close(convert(v, ("v", "x_1"), CondOT(), x, t), x_1)
    assert_close(convert(v, ("v", "noise"), CondOT(), x, t), noise)
    assert_close(convert(v, ("v", "velocity"), CondOT(), x, t), x_1 - noise)
