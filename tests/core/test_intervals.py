"""Estimates: intervals that hold as often as they say."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from feller.core.intervals import Estimate, mean_estimate, wilson_interval


def test_intervals_of_means_hold():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        sizes = rng.integers(1, 50, size=60)
        bits = sizes * 2.0 + rng.normal(size=60) * sizes
        estimate = mean_estimate(bits.tolist(), sizes.tolist())
        hits += estimate.low <= 2.0 <= estimate.high
    assert 0.91 < hits / 400 < 0.98


def test_a_mean_is_one():
    value, low, high = mean_estimate([1.0, 2.0, 3.0])
    assert value == 2
    assert high - value == pytest.approx(1.96 / math.sqrt(3), rel=1e-3)
    assert low == pytest.approx(4 - high)
    assert mean_estimate([7.0]) == Estimate(7.0, -math.inf, math.inf)


def test_intervals_of_fractions_hold():
    rng = np.random.default_rng(0)
    for share in (0.02, 0.5):
        drawn = rng.binomial(200, share, size=500)
        held = [(e := wilson_interval(int(s), 200)).low <= share <= e.high for s in drawn]
        assert np.mean(held) > 0.9
    assert wilson_interval(0, 10)[:2] == (0, 0)
    assert wilson_interval(10, 10).high == pytest.approx(1)


def test_nothing_has_no_mean():
    with pytest.raises(ValueError, match="nothing"):
        mean_estimate([])
    with pytest.raises(ValueError, match="nothing"):
        mean_estimate([1.0], [0.0])


@pytest.mark.parametrize("trials", [1, 7, 1000])
@pytest.mark.parametrize("share", [0, 0.01, 0.3, 1])
def test_wilson_interval_is_that_of_scipy(trials, share):
    successes = round(share * trials)
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    found = wilson_interval(successes, trials)
    assert found.value == successes / trials
    assert found.low == pytest.approx(interval.low, abs=1e-6)
    assert found.high == pytest.approx(interval.high, abs=1e-6)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (2, 1), (-1, 4)])
def test_a_fraction_of_nothing_is_refused(successes, trials):
    with pytest.raises(ValueError, match="is none"):
        wilson_interval(successes, trials)


def test_an_estimate_reads_well():
    assert str(Estimate(2.0, 1.5, 2.5)) == "2 (1.5 to 2.5)"
