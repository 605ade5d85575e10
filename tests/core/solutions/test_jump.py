"""Jumps that solve a path: the paper's closed form, and finite values to the very end."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.generators import Jump
from feller.core.generators.cells import Bins
from feller.core.paths import GaussianPath, GeometricPath, MixturePath
from feller.core.schedules import CondOT, Cosine, Geometric, Polynomial, VariancePreserving
from feller.core.solutions import solution
from feller.core.sources import Gaussian, Masked, UniformBox, UniformTokens
from feller.core.spaces import Euclidean, Interval, Tokens


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


def hazard_lived(path, jump_of, t, s):
    """The integral of the intensity of a particle that stays where it is, by Gauss points."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    times = (t + s) / 2 + (s - t) / 2 * nodes
    each = torch.stack([jump_of(float(r)).intensity for r in times])
    return (torch.from_numpy(weights) * (s - t) / 2 @ each.flatten(1)).view(each.shape[1:])


SCHEDULES = [CondOT(), Cosine(), Polynomial(3.0), VariancePreserving(), Geometric(0.2)]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
STEPS = [(0.1, 0.11), (0.3, 0.5), (0.6, 0.9), (0.9, 0.99)]


@every_schedule
@pytest.mark.parametrize(("t", "s"), STEPS)
def test_survival_is_exact_where_the_density_falls(schedule, t, s):
    path, z = GaussianPath(schedule=schedule), torch.tensor([[0.7]], dtype=torch.float64)
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)[:, None]

    def jump_of(r):
        return solution(path, Jump)(path, x, r, z)

    falls = torch.stack([jump_of(r).intensity for r in np.linspace(t, s, 50)]).min(0).values > 0
    assert falls.sum() > 10
    survival = torch.exp(-jump_of(t).intensity * jump_of(t).duration(s - t))
    truth = torch.exp(-hazard_lived(path, jump_of, t, s))
    assert_close(survival[falls], truth[falls], atol=1e-6, rtol=0)
    if isinstance(schedule, CondOT):  # there a density that falls goes on falling
        assert_close(falls, jump_of(t).intensity > 0)


MIXED = [
    (MixturePath(Tokens(5), Masked(4)), False),
    (MixturePath(Tokens(5), UniformTokens(5), Cosine()), False),
    (MixturePath(Tokens(5), Masked(4), Polynomial(3.0)), True),
    (MixturePath(Tokens(5), UniformTokens(5), Geometric(0.2)), True),
    (GeometricPath(Tokens(4), 0.1), False),
    (GeometricPath(Tokens(4), 0.1, Cosine()), True),
]


@pytest.mark.parametrize(("path", "backward"), MIXED, ids=str)
@pytest.mark.parametrize(("t", "s"), STEPS)
def test_survival_of_tokens_is_exact(path, backward, t, s):
    x, z = torch.arange(4)[:, None], torch.tensor([[2]])

    def jump_of(r):
        r = torch.tensor(r, dtype=torch.float64)
        return solution(path, Jump, backward=backward)(path, x, r, z)

    t = torch.tensor(t, dtype=torch.float64)
    h = torch.tensor(s, dtype=torch.float64) - t
    jump = jump_of(float(t))
    truth = torch.exp(-hazard_lived(path, jump_of, float(t), s))
    assert_close(torch.exp(-jump.intensity * jump.duration(h)).double(), truth, atol=1e-6, rtol=0)
    moves = jump.intensity > 0
    assert torch.equal(moves, x == 2 if backward else x != 2)


@pytest.mark.parametrize("schedule", [Cosine(), Polynomial(), Polynomial(3.0)], ids=str)
def test_a_clock_that_starts_at_rest_still_runs(schedule):
    """kappa_dot(0) = 0 on polynomials: the chance of the first step is kappa_s nonetheless."""
    path = MixturePath(Tokens(3), Masked(2), schedule)
    x, z = torch.tensor([[2]]), torch.tensor([[0]])
    jump = solution(path, Jump)(path, x, 0.0, z)
    chance = -torch.expm1(-jump.intensity * jump.duration(0.3))
    assert float(chance) == pytest.approx(float(schedule.alpha(torch.tensor(0.3))), abs=1e-6)


ENDS = [0.0, 1e-6, 0.5, 0.999, 1 - 1e-6]
EDGES = torch.linspace(-5, 5, 65)


@every_schedule
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("t", ENDS)
def test_everything_is_finite_in_float32(schedule, backward, t, rng):
    path = GaussianPath(schedule=schedule)
    z = torch.tensor([-1.0, -0.3, 0.0, 0.8, 1.0]).repeat(200)[:, None]
    x = path.sample(z, t, rng)
    jump = solution(path, Jump, backward=backward)(path, x, t, z)
    law = jump.destination.expand(x.shape)
    h = (1 - t) / 2
    points, weights = law.quadrature()
    lived = jump.intensity * jump.duration(h)
    for value in (jump.intensity, lived, law.sample(rng), points, weights):
        assert value.isfinite().all()
    assert (lived >= 0).all()
    mass = law.masses(Bins(EDGES))
    assert mass.isfinite().all()
    assert (mass >= -1e-6).all()
    if isinstance(schedule, CondOT) and not backward:
        assert float(law.sample(rng).abs().max()) <= 1.6181  # (1 + sqrt 5) / 2, data in [-1, 1]


@pytest.mark.parametrize(
    "path",
    [
        MixturePath(Tokens(5), UniformTokens(5), Polynomial(3.0)),
        MixturePath(Tokens(5), Masked(4), Cosine()),
        MixturePath(Interval(), UniformBox(), Cosine()),
        MixturePath(Euclidean(), Gaussian(), Geometric(0.2)),
        GeometricPath(Tokens(5)),
    ],
    ids=str,
)
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("t", ENDS)
def test_mixtures_are_finite_in_float32(path, backward, t, rng):
    z = torch.arange(4).repeat(50)[:, None]
    z = z if path.space.is_discrete else z / 4
    x = path.sample(z, t, rng)
    jump = solution(path, Jump, backward=backward)(path, x, t, z)
    assert jump.intensity.isfinite().all()
    assert (jump.intensity * jump.duration((1 - t) / 2)).isfinite().all()


def test_a_stray_back_jump_leads_to_the_source(rng):
    path = MixturePath(Interval(), UniformBox())
    z = torch.full((20_000, 1), 0.3)
    jump = solution(path, Jump, backward=True)(path, z, 0.5, z)
    assert_close(jump.intensity, torch.full_like(z, 2.0))  # kappa_dot / kappa
    moved = jump.step(path.space, z, 100.0, rng)
    assert stats.kstest(moved.flatten().numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-3
