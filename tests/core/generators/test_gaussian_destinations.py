"""Where Gaussian jumps land: bin masses against quadrature, draws against both, in any dtype."""

import math

import pytest
import torch
from scipy import integrate, stats

from feller.core.generators import NormalTails, RatioOfNormals
from feller.core.generators.cells import Bins
from feller.core.generators.gaussian_destinations import roots

D = torch.float64
MEAN, SCALE = 0.25, 0.5
SHAPES = [0.0, 0.4, -2.0, 40.0, -1000.0, 1e6]
every_c = pytest.mark.parametrize("c", SHAPES)
both = pytest.mark.parametrize("kind", [RatioOfNormals, NormalTails])


def law_of(kind, c, dtype=D):
    return kind(*(torch.tensor([v], dtype=dtype) for v in (MEAN, SCALE, c)))


def mass_between(kind, c, a, b):
    """The integral of the positive or negative part of (1 + c u - u^2) phi(u)."""
    sign = 1 if kind is RatioOfNormals else -1

    def density(u):
        return max(sign * (1 + c * u - u * u), 0) * stats.norm.pdf(u)

    a, b = max(a, -14), min(b, 14)
    if a >= b:
        return 0.0
    # Plain Python: the code under test is what the roots are compared with.
    size = (abs(c) + math.sqrt(c * c + 4)) / 2
    ends = (-1 / size, size) if c >= 0 else (-size, 1 / size)
    inside = [u for u in (*ends, 0.0) if a < u < b]
    return integrate.quad(density, a, b, points=inside or None, limit=500)[0]


@both
@every_c
def test_bin_masses_are_the_integrals_of_the_density(kind, c):
    """Against float64 quadrature, to 1e-6."""
    edges = torch.tensor([-torch.inf, *torch.linspace(-2, 3, 11).tolist(), torch.inf], dtype=D)
    edges = edges.clamp(-1e3, 1e3)
    total = mass_between(kind, c, -math.inf, math.inf)
    mass = law_of(kind, c).masses(Bins(edges))[0]
    standard = ((edges - MEAN) / SCALE).tolist()
    for i, value in enumerate(mass):
        truth = mass_between(kind, c, standard[i], standard[i + 1]) / total
        assert float(value) == pytest.approx(truth, abs=1e-6)
    assert float(mass.sum()) == pytest.approx(1.0, abs=1e-12)


@both
@every_c
def test_masses_in_single_precision(kind, c):
    edges = torch.linspace(-2, 3, 65)
    single = law_of(kind, c, torch.float32).masses(Bins(edges))
    assert float((single - law_of(kind, c).masses(Bins(edges.double()))).abs().max()) < 1e-6


@both
@every_c
@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_draws_follow_the_masses(kind, c, dtype, rng):
    law = law_of(kind, c, dtype)
    draws = law.expand(torch.Size([20_000])).sample(rng)
    assert draws.isfinite().all()
    edges = torch.linspace(-2.5, 3.0, 23, dtype=D)
    mass = law_of(kind, c).masses(Bins(edges))[0]
    counts = torch.histogram(draws.double(), edges).hist
    kept = mass * 20_000 > 5
    rest = 1 - float(mass[kept].sum())
    observed = [*counts[kept].tolist(), 20_000 - float(counts[kept].sum())]
    expected = [*(20_000 * mass[kept]).tolist(), 20_000 * rest]
    if rest * 20_000 < 5:
        assert observed[-1] < 40
        observed, expected = (
            observed[:-1],
            [v * sum(observed[:-1]) / sum(expected[:-1]) for v in expected[:-1]],
        )
    assert stats.chisquare(observed, expected).pvalue > 1e-3


@both
@every_c
def test_both_laws_have_the_flux(kind, c):
    """What is lost outside the roots is gained between them."""
    flux = float(law_of(kind, c).flux())
    assert flux == pytest.approx(mass_between(kind, c, -math.inf, math.inf), rel=1e-9)


@every_c
def test_the_roots_are_roots(c):
    low, high = (float(v) for v in roots(torch.tensor(c, dtype=D)))
    assert low * high == pytest.approx(-1)
    assert low + high == pytest.approx(c, abs=1e-9)
