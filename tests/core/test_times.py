"""Distributions of times against scipy's distribution functions."""

import math

import pytest
import torch
from scipy import integrate, special, stats
from torch.testing import assert_close

from feller.core.times import (
    Beta,
    LogitNormal,
    Skewed,
    TimeDistribution,
    Uniform,
    UShaped,
    expand_time,
    moving_time,
    stratify,
)


def logistic_normal(mean, std):
    return lambda t: stats.norm.cdf((special.logit(t) - mean) / std)


def u_shaped(a):
    def density(t):
        return math.cosh(a * (t - 0.5))

    total = integrate.quad(density, 0, 1)[0]
    return lambda t: integrate.quad(density, 0, t)[0] / total


LAWS = [
    (Uniform(), stats.uniform.cdf),
    (LogitNormal(), logistic_normal(0, 1)),
    (LogitNormal(-0.5, 1.5), logistic_normal(-0.5, 1.5)),
    (Skewed(), logistic_normal(1.2, 1.2)),
    (Beta(), stats.beta(2, 2).cdf),
    (Beta(1.0, 3.0), stats.beta(1, 3).cdf),
    (Beta(0.5, 0.5), stats.beta(0.5, 0.5).cdf),
    (UShaped(), u_shaped(4.0)),
    (UShaped(0.5), u_shaped(0.5)),
]
every_law = pytest.mark.parametrize(("law", "cdf"), LAWS, ids=[str(law) for law, _ in LAWS])


def test_every_law_is_tested():
    ours = {c for c in TimeDistribution.__subclasses__() if c.__module__.startswith("feller.core.")}
    assert ours == {type(law) for law, _ in LAWS}


@every_law
def test_a_quantile_inverts_the_distribution_function(law, cdf):
    u = torch.linspace(0.001, 0.999, 101, dtype=torch.float64)
    t = law.quantile(u)
    assert (t.diff() > 0).all()
    assert_close([float(cdf(s)) for s in t.tolist()], u.tolist(), rtol=0, atol=1e-9)


@every_law
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_time_is_never_an_end(law, cdf, dtype):
    u = torch.tensor([0.0, 2.0**-24, 1 - 2.0**-24], dtype=dtype)
    t = law.quantile(u)
    assert t.dtype == dtype
    assert (t > 0).all()
    assert (t < 1).all()


@pytest.mark.parametrize("law", [LogitNormal(9.0, 4.0), LogitNormal(-50.0), Skewed(-30.0)])
def test_a_time_is_never_an_end_however_far_the_law(law):
    t = law.quantile(torch.tensor([0.0, 0.5, 1 - 2.0**-24]))
    assert ((t > 0) & (t < 1)).all()


def test_skewed_times_have_the_noise_levels_of_edm():
    u = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    t = Skewed(-1.2, 1.2).quantile(u)
    noise = ((1 - t) / t).log().flip(0)  # log sigma / alpha falls as t rises
    assert_close(noise, torch.from_numpy(stats.norm(-1.2, 1.2).ppf(u.numpy())))


@pytest.mark.parametrize("total", [1, 8, 100])
@pytest.mark.parametrize("offset", [0.0, 0.3, 1 - 2.0**-24])
def test_stratified_uniforms_fill_every_stratum(total, offset):
    u = stratify(torch.tensor(offset).double(), torch.arange(total).double(), total)
    assert_close(u * total, torch.arange(total) + torch.tensor(offset).double())


def test_stratified_uniforms_are_uniform(rng):
    offset = torch.rand(1000, generator=rng, dtype=torch.float64)
    row = torch.tensor([5.0], dtype=torch.float64)
    u = torch.cat([stratify(o, row, 8) for o in offset])
    assert stats.kstest(u.numpy(), stats.uniform(5 / 8, 1 / 8).cdf).pvalue > 0.001


def test_the_last_stratum_does_not_round_to_one():
    u = stratify(torch.tensor(1 - 2.0**-24), torch.arange(256.0), 256)
    assert u.max() < 1


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1, 1)), ((2,), (2, 1, 1)), ((2, 3), (2, 3, 1)), ((2, 1, 4), (2, 1, 4))],
)
def test_time_takes_trailing_axes(shape, expected):
    assert expand_time(torch.zeros(shape), torch.zeros(2, 3, 4)).shape == expected


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 3, 4, 1)])
def test_time_has_the_leading_axes_of_the_state(shape):
    with pytest.raises(ValueError, match="leading axes"):
        expand_time(torch.zeros(shape), torch.zeros(2, 3, 4))


@pytest.mark.parametrize(
    ("like", "dtype"),
    [(torch.float64, torch.float64), (torch.bfloat16, torch.bfloat16), (torch.int64, torch.float)],
)
def test_a_float_time_is_not_rounded_to_a_token(like, dtype):
    t = expand_time(0.5, torch.zeros(2, dtype=like))
    assert t.dtype == dtype
    assert t == 0.5


def test_known_elements_get_a_time_at_which_they_move():
    assert moving_time(1.0) == 1.0
    rows = torch.tensor([0.5, 1.0])
    assert moving_time(rows) is rows
    elements = torch.tensor([[0.25, 1.0]])
    assert moving_time(elements).tolist() == [[0.25, 0.5]]
