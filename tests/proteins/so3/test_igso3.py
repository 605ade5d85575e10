"""IGSO(3): both forms against the long series, and its draws."""

import math

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.proteins.so3.igso3 import IGSO3, log_density, rise, sample_angle, score

W = torch.linspace(1e-3, math.pi, 400, dtype=torch.float64)


def number(tau):
    return torch.tensor(tau, dtype=torch.float64)


def series(w, tau, terms=400):
    """f, its slope in the angle and in tau, by characters."""
    degree = torch.arange(terms, dtype=torch.float64)
    weight = (2 * degree + 1) * torch.exp(-degree * (degree + 1) * tau / 2)
    half = (w / 2)[:, None]
    sine = torch.sin((2 * degree + 1) * half)
    character = sine / half.sin()
    slope = (degree + 0.5) * torch.cos((2 * degree + 1) * half) / half.sin()
    slope = slope - character / torch.tan(half) / 2
    fall = -degree * (degree + 1) / 2 * weight
    return [(a * b).sum(-1) for a, b in ((weight, character), (weight, slope), (fall, character))]


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.7, 1.0, 1.19, 1.21, 1.5, 2.0, 3.0])
def test_both_forms_are_the_series(sigma):
    tau = number(sigma**2)
    f, slope, fall = series(W, tau)
    there = f > 1e-6 * f.max()  # beyond, the series cancels
    for found, exact in (
        (log_density(W, tau), f.log()),
        (score(W, tau), slope / f),
        (rise(W, tau), fall / f),
    ):
        gap = (found - exact).abs()[there]
        assert (gap <= 1e-6 * (1 + exact.abs()[there])).all()


@pytest.mark.gate
@pytest.mark.parametrize("sigma", [0.05, 1.0, 1.2, 2.0])
def test_the_distribution_solves_the_heat_equation(sigma):
    """d log f / d tau = (d^2 log f / dw^2 + score^2 + cot(w / 2) score) / 2."""
    tau, w = number(sigma**2), W[10:-10]
    bend = torch.func.jvp(lambda w: score(w, tau), (w,), (torch.ones_like(w),))[1]
    slope = score(w, tau)
    laplacian = bend + slope**2 + slope / torch.tan(w / 2)
    assert_close(rise(w, tau), laplacian / 2, rtol=1e-6, atol=1e-6)


def test_the_two_forms_meet():
    below, above = number(1.44 - 1e-9), number(1.44 + 1e-9)
    for f in (log_density, score, rise):
        assert_close(f(W, below), f(W, above), rtol=0, atol=1e-7)


@pytest.mark.parametrize("tau", [0.0025, 0.5, 2.0, 9.0])
def test_draws_follow_the_distribution(tau, rng):
    w = sample_angle(torch.full((5000,), tau), rng)
    assert stats.kstest(IGSO3.cdf(w.double(), number(tau)).numpy(), "uniform").pvalue > 1e-3


def test_a_small_kernel_is_a_normal(rng):
    """Of three axes: the square of the angle over tau is chi-square of three degrees."""
    w = sample_angle(torch.full((5000,), 1e-4), rng).double()
    assert stats.kstest((w**2 / 1e-4).numpy(), stats.chi2(3).cdf).pvalue > 1e-3


@pytest.mark.parametrize("tau", [1e-4, 1e-8, 1e-12])
def test_the_narrowest_kernels_are_normals(tau):
    at = torch.tensor(tau, dtype=torch.float64)
    top = 0.5 * math.log(math.pi) - 1.5 * math.log(tau / 2) + tau / 8
    assert float(log_density(torch.zeros((), dtype=torch.float64), at)) == pytest.approx(
        top, abs=1e-7
    )
    angles = IGSO3.quantile(torch.linspace(0, 1, 2001, dtype=torch.float64)[1:-1], at.expand(1999))
    assert float((angles**2).mean()) == pytest.approx(3 * tau, rel=0.02)
