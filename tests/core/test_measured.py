"""Measurements: for normal data the guided flow is that of the exact posterior."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.algebra import Model
from feller.core.generators import Flow, Jump
from feller.core.measured import Measured
from feller.core.measurements import AveragePool, Blur, ChannelMean, Pixels
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.schedules import VariancePreserving
from feller.core.solvers import HEUN, RungeKutta, simulate
from feller.core.spaces import Euclidean

SHAPE = (3, 4, 4)
SIZE = 48
STD, SPREAD = 0.3, 0.7
MASK = torch.arange(SIZE).view(SHAPE) % 3 == 0
ALL = [Pixels(MASK), ChannelMean(3), AveragePool(2), Blur(0.8)]
every = pytest.mark.parametrize("measurement", ALL, ids=lambda m: type(m).__name__)


class Normal(Model):
    """The exact flow of normal data with a mean and a covariance of all pixels."""

    kinds = frozenset({Flow})

    def __init__(self, mean, covariance, schedule=None):
        path = GaussianPath(Euclidean(3))
        self.path = path if schedule is None else GaussianPath(Euclidean(3), schedule)
        self.mean, self.covariance = mean, covariance

    def __call__(self, x, t, condition=None):
        t = torch.as_tensor(t, dtype=torch.float64)
        alpha, sigma = self.path.schedule.alpha(t), self.path.schedule.sigma(t)
        total = alpha**2 * self.covariance + sigma**2 * torch.eye(SIZE, dtype=torch.float64)
        gain = alpha * self.covariance @ torch.linalg.inv(total)
        z = self.mean + (x.flatten(1) - alpha * self.mean) @ gain.T
        return Flow(self.path.convert(z.view_as(x), "x_1", "velocity", x, float(t)))


def matrix(measurement):
    """A, a row for each number that is measured."""
    unit = torch.eye(SIZE, dtype=torch.float64).view(SIZE, *SHAPE)
    return measurement(unit).flatten(1).T


def posterior(measurement, mean, y, std):
    """Mean and covariance of the data given y, by linear algebra."""
    a = matrix(measurement)
    prior = SPREAD**2 * torch.eye(SIZE, dtype=torch.float64)
    gain = prior @ a.T @ torch.linalg.pinv(a @ prior @ a.T + std**2 * torch.eye(len(a)))
    return mean + gain @ (y.flatten() - a @ mean), prior - gain @ a @ prior


@every
def test_what_is_solved(measurement, rng):
    a = matrix(measurement)
    seen = (a @ torch.randn(SIZE, 2, generator=rng, dtype=torch.float64)).T
    shape = measurement(torch.zeros(1, *SHAPE)).shape[1:]
    found = measurement.solve(seen.view(2, *shape), torch.tensor(0.7), 0.09).flatten(1)
    middle = 0.7 * a @ a.T + 0.09 * torch.eye(len(a))
    assert_close(found, torch.linalg.solve(middle, seen.T).T)


@every
@pytest.mark.parametrize("schedule", [None, VariancePreserving()])
def test_normal_data_have_the_flow_of_their_posterior(measurement, schedule, rng):
    mean = torch.randn(SIZE, generator=rng, dtype=torch.float64)
    prior = Normal(mean, SPREAD**2 * torch.eye(SIZE, dtype=torch.float64), schedule)
    y = measurement(torch.randn(1, *SHAPE, generator=rng, dtype=torch.float64))
    guided = Measured(prior, measurement, y, std=STD, spread=SPREAD)
    exact = Normal(*posterior(measurement, mean, y, STD), schedule)
    x = torch.randn(3, *SHAPE, generator=rng, dtype=torch.float64)
    for t in (0.05, 0.5, 0.95):
        assert_close(guided(x, t).velocity, exact(x, t).velocity, rtol=1e-5, atol=1e-5)


def test_samples_have_the_moments_of_the_posterior(rng):
    measurement, mean = AveragePool(2), torch.zeros(SIZE, dtype=torch.float64)
    prior = Normal(mean, SPREAD**2 * torch.eye(SIZE, dtype=torch.float64))
    y = torch.full((1, 3, 2, 2), 0.5, dtype=torch.float64)
    guided = Measured(prior, measurement, y, std=STD, spread=SPREAD)
    x_0 = torch.randn(4000, *SHAPE, generator=rng, dtype=torch.float64)
    drawn = simulate(guided, x_0, torch.linspace(0, 1, 21), RungeKutta(HEUN)).state.flatten(1)
    expected, covariance = posterior(measurement, mean, y, STD)
    assert_close(drawn.mean(0), expected, rtol=0, atol=0.05)
    assert_close(drawn.T.cov(), covariance, rtol=0, atol=0.06)


def test_a_clock_for_each_sample(rng):
    prior = NormalMixture(GaussianPath(), torch.zeros(1, 2), torch.ones(1), torch.ones(1))
    guided = Measured(prior, Pixels(torch.tensor([True, False])), torch.tensor([[3.0, 0.0]]))
    x, t = torch.randn(2, 2, generator=rng), torch.tensor([0.2, 0.7])
    rows = [guided(x[i : i + 1], float(t[i])).velocity for i in range(2)]
    assert_close(guided(x, t).velocity, torch.cat(rows))


def test_what_has_no_estimate_is_refused():
    points, known = torch.zeros(2, 2), Pixels(torch.tensor([True, False]))
    jumps = FiniteData(GaussianPath(), Jump, points)
    with pytest.raises(ValueError, match="guides flows, but the model returns Jump"):
        Measured(jumps, known, points[:1])
    flow = FiniteData(GaussianPath(), Flow, points)
    with pytest.raises(ValueError, match="std is at least 0 and spread positive"):
        Measured(flow, known, points[:1], spread=0.0)


def test_what_is_not_measured_may_be_anything():
    model = NormalMixture(GaussianPath(), torch.zeros(1, 2), torch.ones(1), torch.ones(1))
    pixels = Pixels(torch.tensor([True, False]))
    x, y = torch.zeros(1, 2), torch.tensor([[3.0, torch.nan]])
    other = Measured(model, pixels, y.nan_to_num())(x, 0.5).velocity
    assert Measured(model, pixels, y)(x, 0.5).velocity.equal(other)
    with (
        torch.inference_mode(),
        pytest.raises(ValueError, match=r"takes gradients: torch\.no_grad, not inference_mode"),
    ):
        Measured(model, pixels, y)(x, 0.5)
