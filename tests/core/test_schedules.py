"""Schedules: their ends, their direction, and derivatives against finite differences."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.schedules import (
    CondOT,
    Cosine,
    Geometric,
    Polynomial,
    Schedule,
    VariancePreserving,
    check_mixing,
    derivative,
)

SCHEDULES = [
    CondOT(),
    Polynomial(),
    Polynomial(0.5),
    Polynomial(3.0),
    Cosine(),
    VariancePreserving(),
    VariancePreserving(1.0, 8.0),
    Geometric(),
    Geometric(0.5),
]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
INSIDE = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)


def test_every_schedule_is_tested():
    ours = {c for c in Schedule.__subclasses__() if c.__module__.startswith("feller.core.")}
    assert ours == {type(schedule) for schedule in SCHEDULES}


@every_schedule
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_is_data_at_one(schedule, dtype):
    one = torch.ones((), dtype=dtype)
    assert schedule.alpha(one) == 1
    width = schedule.width if isinstance(schedule, Geometric) else 0
    assert float(schedule.sigma(one)) == pytest.approx(width)


@every_schedule
def test_all_coefficients_at_once_are_each_of_them(schedule):
    one_by_one = (schedule.alpha, schedule.sigma, schedule.alpha_dot, schedule.sigma_dot)
    for together, alone in zip(schedule.coefficients(INSIDE), one_by_one, strict=True):
        assert together.equal(alone(INSIDE))


@every_schedule
def test_all_is_noise_at_zero(schedule):
    zero = torch.zeros((), dtype=torch.float64)
    if isinstance(schedule, VariancePreserving):
        log_snr = -(schedule.beta_0 + schedule.beta_1) / 4  # the integral of beta, halved
        assert_close(schedule.alpha(zero).item(), math.exp(log_snr))
    else:
        assert schedule.alpha(zero) == 0
        assert_close(schedule.sigma(zero).item(), 1.0)


@every_schedule
def test_data_rise_and_noise_falls(schedule):
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert (schedule.alpha(t).diff() > 0).all()
    assert (schedule.sigma(t).diff() < 0).all()


@every_schedule
@pytest.mark.parametrize("name", ["alpha", "sigma"])
def test_derivatives_are_those_of_the_function(schedule, name):
    f, f_dot = getattr(schedule, name), getattr(schedule, f"{name}_dot")
    h = 1e-5
    assert_close(f_dot(INSIDE), (f(INSIDE + h) - f(INSIDE - h)) / (2 * h), rtol=2e-7, atol=1e-8)
    assert_close(f_dot(INSIDE), derivative(f, INSIDE), rtol=1e-12, atol=1e-12)


@every_schedule
def test_the_hazard_is_the_fall_of_the_log_survival(schedule):
    expected = -derivative(lambda t: torch.log1p(-schedule.alpha(t)), INSIDE)
    assert_close(schedule.hazard(INSIDE), expected)
    assert_close(schedule.remainder(INSIDE), 1 - schedule.alpha(INSIDE))


@every_schedule
@pytest.mark.parametrize("r", [1e-1, 1e-3, 1e-5, 2.0**-20])
def test_nothing_cancels_near_the_data(schedule, r):
    """In float32 as in float64: 1 - sin(pi t / 2) would be 0 from t = .9998 on."""
    t = torch.tensor(1 - r)
    for f in (schedule.sigma, schedule.remainder, schedule.hazard):
        assert f(t).item() == pytest.approx(float(f(t.double())), rel=2e-5)
        assert f(t).isfinite()


@every_schedule
def test_times_of_any_shape(schedule):
    t = INSIDE[:6].reshape(2, 1, 3)
    for f in (schedule.alpha, schedule.sigma, schedule.alpha_dot, schedule.sigma_dot):
        assert_close(f(t).flatten(), f(t.flatten()), rtol=0, atol=0)


def test_variance_is_preserved():
    schedule = VariancePreserving()
    square = schedule.alpha(INSIDE) ** 2 + schedule.sigma(INSIDE) ** 2
    assert_close(square, torch.ones_like(square))


@pytest.mark.parametrize("r", [1e-1, 1e-3, 1e-5, 2.0**-23])
def test_variance_preserving_noise_keeps_its_digits_near_the_data(r):
    t = torch.tensor(1 - r)  # float32: the square root of 1 - alpha^2 would lose all digits
    r = 1 - t.item()
    exact = math.sqrt(-math.expm1(-2 * (r**2 * (20 - 0.1) / 4 + r * 0.1 / 2)))
    assert VariancePreserving().sigma(t).item() == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("power", [0.0, -1.0])
def test_a_power_is_positive(power):
    with pytest.raises(ValueError, match="power is positive"):
        Polynomial(power)


def test_a_schedule_that_does_not_start_at_zero_is_no_mixing_weight():
    check_mixing(Cosine())
    with pytest.raises(ValueError, match=r"VariancePreserving at 0\.00657"):
        check_mixing(VariancePreserving())


@pytest.mark.parametrize("t", [0.0, 0.2, 0.7, 1.0])
def test_the_geometric_average_of_normals_is_their_weighted_product(t):
    schedule, z = Geometric(0.3), 0.8
    x = torch.linspace(-10, 10, 4001, dtype=torch.float64)
    density = torch.exp(-(1 - t) * x**2 / 2 - t * (x - z) ** 2 / (2 * 0.3**2))
    density = density / density.sum()
    mean = (density * x).sum()
    clock = torch.tensor(t, dtype=torch.float64)
    assert_close(mean, schedule.alpha(clock) * z)
    assert_close((density * (x - mean) ** 2).sum().sqrt(), schedule.sigma(clock))


@pytest.mark.parametrize("width", [0.0, 1.0, -0.1])
def test_a_width_is_between_zero_and_one(width):
    with pytest.raises(ValueError, match="width is between 0 and 1"):
        Geometric(width)
