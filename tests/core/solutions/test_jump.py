"""Jumps that solve a path: the paper's closed form, and finite values to the very end."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Jump
from feller.core.paths import GaussianPath
from feller.core.solutions import solution


def test_on_condot_it_is_the_formula_of_the_paper(rng):
    """lambda = [k]_+ / (1 - t)^3, k = x^2 - (t + 1) x z - (1 - t)^2 + t z^2."""
    x, z = torch.randn(2, 500, 1, generator=rng, dtype=torch.float64)
    t = torch.rand(500, generator=rng, dtype=torch.float64) * 0.95
    c = t[:, None]
    k = x**2 - (c + 1) * x * z - (1 - c) ** 2 + c * z**2
    intensity = solution(GaussianPath(), Jump)(GaussianPath(), x, t, z).intensity
    assert_close(intensity, k.clamp_min(0) / (1 - c) ** 3)


def test_the_mean_intensity_is_the_flux():
    """E lambda = a Z, and for z = 0 the constant 0.48394145 / (1 - t)."""
    axis = torch.linspace(-12, 12, 200_001, dtype=torch.float64)[:, None]
    path, zero = GaussianPath(), torch.zeros_like(axis)
    jump = solution(path, Jump)(path, (1 - 0.4) * axis, 0.4, zero)
    weights = torch.exp(-0.5 * axis**2)
    mean = float((weights * jump.intensity).sum() / weights.sum())
    assert mean == pytest.approx(0.48394145 / 0.6, rel=1e-6)
    assert mean == pytest.approx(float(jump.destination.flux()[0]) / 0.6, rel=1e-6)


@pytest.mark.parametrize("t", [0.0, 0.5, 0.999, 1 - 1e-6])
def test_everything_is_finite_in_float32(t, rng):
    path = GaussianPath()
    z = torch.tensor([-1.0, -0.3, 0.0, 0.8, 1.0]).repeat(200)[:, None]
    x = path.sample(z, t, rng)
    jump = solution(path, Jump)(path, x, t, z)
    law = jump.destination.expand(x.shape)
    h = (1 - t) / 2
    for value in (jump.intensity, jump.intensity * jump.duration(h), law.sample(rng)):
        assert value.isfinite().all()
    mass = law.mass(torch.linspace(-1.7, 1.7, 65))
    assert mass.isfinite().all()
    assert (mass >= -1e-6).all()
    reach = float(law.sample(rng).abs().max())
    assert reach <= 1.6181  # (1 + sqrt 5) / 2 for data in [-1, 1]
