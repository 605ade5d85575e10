"""The isotropic Fisher law: its normaliser, its moments by quadrature, its draws."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from feller.proteins.so3.fisher import (
    FISHER,
    log_density,
    log_normaliser,
    mean_cosine,
    radial_velocity,
    sample_angle,
)

CONCENTRATIONS = [0.0, 1e-4, 1e-3, 0.1, 1.0, 10.0, 100.0, 199.0, 201.0, 1000.0, 1e5]


def number(nu):
    return torch.tensor(nu, dtype=torch.float64)


@pytest.mark.parametrize("nu", CONCENTRATIONS)
def test_the_normaliser_is_a_difference_of_bessel_functions(nu):
    w = np.linspace(0, min(math.pi, 12 / math.sqrt(max(nu, 1e-9))), 20_001)
    scaled = np.exp(-2 * nu * np.sin(w / 2) ** 2) * (1 - np.cos(w)) / math.pi
    expected = nu + math.log(integrate.simpson(scaled, x=w))
    assert float(log_normaliser(number(nu))) == pytest.approx(expected, abs=1e-8)
    if nu < 20:
        assert expected == pytest.approx(math.log(special.iv(0, nu) - special.iv(1, nu)), abs=1e-8)


@pytest.mark.parametrize("nu", CONCENTRATIONS)
def test_the_mean_cosine_is_that_of_quadrature(nu):
    w = np.linspace(0, min(math.pi, 12 / math.sqrt(max(nu, 1e-9))), 20_001)
    density = np.exp(-2 * nu * np.sin(w / 2) ** 2) * (1 - np.cos(w))
    expected = integrate.simpson(density * np.cos(w), x=w) / integrate.simpson(density, x=w)
    assert float(mean_cosine(number(nu))) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("nu", [0.0, 0.5, 10.0, 400.0, 1000.0])
def test_single_precision_keeps_its_digits(nu):
    w = torch.linspace(0, math.pi, 50, dtype=torch.float64)
    exact, found = log_density(w, number(nu)), log_density(w.float(), torch.tensor(nu))
    assert ((found - exact).abs() <= 1e-6 * (1 + exact.abs())).all()


def test_at_a_large_concentration_all_angles_shrink_alike():
    """To a normal in three dimensions of variance 1 / nu, whose scale falls like -w / (2 nu)."""
    nu, w = number(1e5), torch.tensor([0.002, 0.005, 0.01], dtype=torch.float64)
    torch.testing.assert_close(radial_velocity(w, nu), -w / (2 * nu), rtol=1e-4, atol=0)


@pytest.mark.parametrize("nu", [0.0, 2.0, 50.0, 1000.0])
def test_draws_follow_the_distribution(nu, rng):
    w = sample_angle(torch.full((20_000,), nu), rng)
    assert w.dtype == torch.float32
    u = FISHER.cdf(w.double(), number(nu))
    assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-3


def test_a_concentration_for_each(rng):
    nu = torch.tensor([0.0, 5.0, 500.0]).expand(4000, 3)
    means = sample_angle(nu, rng).double().cos().mean(0)
    assert (means - mean_cosine(nu[0].double())).abs().max() < 0.03
