"""Rates: cumulative hazards against quadrature, the support of jumps against brute force."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Jump
from feller.core.generators.cells import Bins
from feller.core.paths import GaussianPath, GeodesicPath, GeometricPath, MixturePath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.schedules import CondOT, Cosine, Geometric, Polynomial, VariancePreserving
from feller.core.solutions import cumulative_hazard, event_rate, jump_frame, jump_support, solution
from feller.core.solutions.rates import cumulative_of, mixing_rate
from feller.core.sources import Gaussian, Masked, UniformBox
from feller.core.spaces import Euclidean, Interval, Tokens

D = torch.float64
SCHEDULES = [CondOT(), Cosine(), Polynomial(3.0), VariancePreserving(), Geometric(0.2)]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
MIXING = [
    MixturePath(Tokens(5), Masked(4)),
    MixturePath(Tokens(5), Masked(4), Cosine()),
    GeometricPath(Tokens(5), 0.05, Polynomial(3.0)),
]


def integral(f, t, s, n=400):
    nodes, weights = np.polynomial.legendre.leggauss(n)
    times = torch.from_numpy((t + s) / 2 + (s - t) / 2 * nodes)
    return float((f(times) * torch.from_numpy(weights)).sum() * (s - t) / 2)


@pytest.mark.parametrize("path", MIXING, ids=str)
@pytest.mark.parametrize(("t", "s"), [(0.1, 0.11), (0.3, 0.7), (0.9, 0.99)])
def test_the_cumulative_hazard_of_a_mixture_is_the_integral_of_its_rate(path, t, s):
    now = torch.tensor(t, dtype=D)
    cumulative = cumulative_hazard(path, now)
    assert cumulative is not None
    lived = float(cumulative(torch.tensor(s - t, dtype=D)) * mixing_rate(path, now))
    assert lived == pytest.approx(integral(lambda r: mixing_rate(path, r), t, s), rel=1e-9)


@pytest.mark.parametrize(("t", "s"), [(0.0, 0.5), (0.3, 0.31), (0.9, 0.99)])
def test_on_condot_the_hazard_holds_k_fixed(t, s):
    """lambda_s / lambda_t = ((1 - t) / (1 - s))^3 (arXiv 2410.20587, appendix F)."""
    cumulative = cumulative_hazard(GaussianPath(), torch.tensor(t, dtype=D))
    assert cumulative is not None
    truth = integral(lambda r: ((1 - t) / (1 - r)) ** 3, t, s)
    assert float(cumulative(torch.tensor(s - t, dtype=D))) == pytest.approx(truth, rel=1e-9)


@every_schedule
@pytest.mark.parametrize("t", [0.0, 0.01, 0.5, 0.9])
def test_over_a_short_time_the_cumulative_hazard_is_the_time(schedule, t):
    cumulative = cumulative_hazard(GaussianPath(schedule=schedule), torch.tensor(t, dtype=D))
    assert cumulative is not None
    h = torch.tensor(1e-6, dtype=D)
    if float(event_rate(GaussianPath(schedule=schedule), torch.tensor(t, dtype=D))) > 1e-20:
        assert float(cumulative(h) / h) == pytest.approx(1.0, abs=1e-3)
    else:  # a polynomial starts at rest: its cumulative hazard makes up for it in units of no rate
        assert float(cumulative(torch.tensor(0.1, dtype=D))) > 1e20


@every_schedule
def test_hazards_and_rates_are_finite_to_the_end_in_float32(schedule):
    t = torch.tensor([1e-7, 0.5, 0.999, 1 - 1e-6])
    for path in (GaussianPath(schedule=schedule), GaussianPath(Euclidean(3), schedule)):
        cumulative = cumulative_hazard(path, t)
        assert cumulative is not None
        assert cumulative((1 - t) / 2).isfinite().all()
        assert event_rate(path, t).isfinite().all()


@every_schedule
def test_the_event_rate_is_the_unit_of_the_flux(schedule, rng):
    """Intensities in units of it are of order one at every time, on every schedule."""
    path = GaussianPath(schedule=schedule)
    z = torch.ones(2000, 1, dtype=D)
    for t in (0.001, 0.1, 0.5, 0.9, 0.999):
        x = path.sample(z, t, rng)
        mean = solution(path, Jump)(path, x, t, z).intensity.mean()
        assert 0.05 < float(mean / event_rate(path, torch.tensor(t, dtype=D))) < 3


def test_the_mean_of_jumps_stays_with_the_mean_chance():
    """What stays makes the data points that would have moved it less likely, as time goes on."""
    path, x = GaussianPath(), torch.tensor([[2.0], [-3.0]], dtype=D)
    points = torch.tensor([[-1.0], [1.0]], dtype=D)
    t = torch.tensor([0.3, 0.4], dtype=D)
    h = torch.tensor([[0.2], [0.1]], dtype=D)
    mean = FiniteData(path, Jump, points)(x, t)
    posterior = FiniteData(path, Jump, points).posterior(x, t)
    stays = torch.zeros(2, 1, dtype=D)
    for i, z in enumerate(points):
        jump = solution(path, Jump)(path, x, t, z.expand(2, 1))
        stays += posterior[:, i : i + 1] * (-jump.intensity * jump.duration(h)).exp()
    assert_close((-mean.intensity * mean.duration(h)).exp(), stays)


def test_a_clock_where_nothing_fires_is_the_time():
    cumulative = cumulative_of(torch.tensor([0.0, 2.0]), lambda h: 3 * h)
    assert cumulative(torch.tensor(0.5)).tolist() == [0.5, 0.75]
    geodesic = GeodesicPath(Euclidean(), Gaussian())
    assert cumulative_hazard(geodesic, torch.tensor(0.5)) is None


@every_schedule
@pytest.mark.parametrize("data", [(-1.0, 1.0), (0.0, 3.0), (-2.0, -0.5)])
def test_jumps_land_within_the_support(schedule, data):
    """Brute force over times and data values: all mass is inside, and inside is no smaller."""
    path = GaussianPath(schedule=schedule)
    low, high = jump_support(path, data)
    t = torch.linspace(0, 1 - 1e-3, 400, dtype=D)[:, None]
    z = torch.linspace(*data, 41, dtype=D).expand(400, 41)
    law = solution(path, Jump)(path, torch.zeros_like(z), t, z).destination
    assert float(law.masses(Bins(torch.tensor([low, high], dtype=D))).min()) > 1 - 1e-5
    shorter = torch.tensor([low + 0.05 * (high - low), high - 0.05 * (high - low)], dtype=D)
    assert float(law.masses(Bins(shorter)).min()) < 1 - 1e-6


def test_on_condot_the_support_is_1_618():
    golden = (1 + 5**0.5) / 2
    assert jump_support(GaussianPath(), (-1.0, 1.0)) == pytest.approx((-golden, golden))


def test_elsewhere_jumps_land_on_the_data():
    assert jump_support(MIXING[0], (0.0, 4.0)) == (0.0, 4.0)
    with pytest.raises(ValueError, match="between two rising numbers"):
        jump_support(GaussianPath(), (1.0, 1.0))


def test_a_clock_that_starts_at_no_finite_speed_has_a_support():
    low, high = jump_support(GaussianPath(schedule=Polynomial(0.5)), (-1.0, 1.0))
    assert low == -high
    assert high == pytest.approx(1.618, abs=1e-3)  # as on CondOT: a power of time is its cumulative


def test_data_outside_an_interval_have_no_support():
    with pytest.raises(ValueError, match=r"data lie in Interval\("):
        jump_support(MixturePath(Interval(), UniformBox()), (-3.0, 3.0))


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_the_frame_lies_around_the_mean_of_normal_data(t):
    """Its middle is alpha E[z | x], of data with the middle and the half-width of their range."""
    path, x = GaussianPath(), torch.tensor([[-2.0], [0.3], [4.0]], dtype=D)
    half = torch.ones(1, dtype=D)
    exact = NormalMixture(path, half[:, None], 2 * half, half)  # mean 1, deviation 2
    time = torch.tensor(t, dtype=D)
    middle, width = jump_frame(path, (-1.0, 3.0), x, time)
    estimate = path.convert(exact(x, t).velocity, "velocity", "x_1", x, time)
    assert_close(middle, t * estimate)
    assert (width > 0).all()
