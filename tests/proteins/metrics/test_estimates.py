"""Figures over chains: intervals that hold as often as they say, and edges."""

import numpy as np
import pytest
from scipy import stats

from feller.proteins.metrics.estimates import Estimate, Tally, mean_tally, resamples


def test_a_figure_is_a_ratio_of_sums():
    tally = Tally(np.array([1.0, 8.0]), np.array([2.0, 10.0]))
    assert tally.value == 9 / 12
    assert tally.estimate().value == tally.value


def test_intervals_hold_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(300):
        trials = rng.integers(20, 80, 60).astype(float)
        chance = rng.uniform(0.2, 0.8, 60)  # chains differ: residues alone would be too sure
        _, low, high = Tally(1.0 * rng.binomial(trials.astype(int), chance), trials).estimate(
            300, seed
        )
        held += low <= 0.5 <= high
    assert stats.binomtest(held, 300, 0.94).pvalue > 1e-3


def test_intervals_of_means_are_those_of_the_normal_distribution():
    values = np.random.default_rng(0).standard_normal(400)
    _, low, high = mean_tally(values).estimate(4_000)
    error = values.std() / 20
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.06)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.2 * error)


def test_what_is_not_finite_is_left_out():
    tally = mean_tally([1.0, np.nan, 5.0, np.inf])
    assert tally.value == 3
    assert tally.trials.tolist() == [1, 0, 1, 0]


def test_where_there_is_nothing_to_say():
    assert Tally(np.zeros(3), np.zeros(3)).estimate() == (None, None, None)
    assert mean_tally([2.0]).estimate() == (2.0, None, None)
    assert mean_tally([]).estimate() == (None, None, None)
    rare = Tally(np.array([1.0, 0, 0, 0]), np.array([1.0, 0, 0, 0])).estimate()
    assert rare == (1.0, 1.0, 1.0)


def test_estimates_print():
    assert str(Estimate(0.12345, 0.1, 0.2)) == "0.1235 (0.1 to 0.2)"
    assert str(Estimate(0.5)) == "0.5"
    assert str(Estimate(None)) == "none"


def test_resamples_are_of_as_many_chains_and_repeat():
    weights = resamples(7, 50, 3)
    assert weights.shape == (50, 7)
    assert (weights.sum(1) == 7).all()
    assert weights.mean() == 1
    assert (weights == resamples(7, 50, 3)).all()
    assert (weights != resamples(7, 50, 4)).any()
    with pytest.raises(ValueError, match="read-only"):
        weights[0] = 0
