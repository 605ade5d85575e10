"""The geometric-average path on tokens: the normalised product of powers of two laws."""

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.paths import GeometricPath
from feller.core.schedules import CondOT, Cosine, VariancePreserving
from feller.core.spaces import Tokens

PATHS = [GeometricPath(Tokens(5)), GeometricPath(Tokens(2), 0.3, Cosine())]
every_path = pytest.mark.parametrize("path", PATHS, ids=str)


@every_path
@pytest.mark.parametrize("t", [0.0, 0.3, 0.8, 1.0])
def test_the_law_is_the_product_of_powers(path, t):
    k, z = path.space.size, 1
    kappa = path.schedule.alpha(torch.tensor(t, dtype=torch.float64))
    p_1 = torch.full((k,), path.noise / k, dtype=torch.float64)
    p_1[z] += 1 - path.noise
    product = (1 / k) ** (1 - kappa) * p_1**kappa
    law = path.log_density(torch.arange(k), torch.tensor(t).double(), torch.tensor(z)).exp()
    assert_close(law.double(), product / product.sum(), atol=1e-6, rtol=1e-6)


@every_path
@pytest.mark.parametrize("t", [0.2, 0.9, 1.0])
def test_samples_have_the_law(path, t, rng):
    z = torch.ones(20_000, 1, dtype=torch.int64)
    counts = path.sample(z, t, rng).flatten().bincount(minlength=path.space.size)
    law = path.log_density(torch.arange(path.space.size), t, torch.tensor(1)).exp().double()
    assert stats.chisquare(counts.numpy(), (20_000 * law / law.sum()).numpy()).pvalue > 0.001


@every_path
def test_the_log_odds_have_their_derivative(path):
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    rise = (path.log_odds(t + 1e-6) - path.log_odds(t - 1e-6)) / 2e-6
    assert_close(path.log_odds_dot(t), rise, atol=1e-6, rtol=1e-6)


def test_what_makes_no_average_is_refused():
    with pytest.raises(ValueError, match="noise is between 0 and 1"):
        GeometricPath(Tokens(5), 0.0)
    with pytest.raises(ValueError, match="two tokens at least"):
        GeometricPath(Tokens(1))
    with pytest.raises(ValueError, match="a mixing weight starts at 0"):
        GeometricPath(Tokens(5), 0.1, VariancePreserving())
    assert GeometricPath(Tokens(5)).schedule == CondOT()
