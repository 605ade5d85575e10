"""Divergences against closed forms and scipy's, and the baseline of a law with itself."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from feller.proteins.metrics.divergences import (
    baseline,
    compare,
    jensen_shannon,
    kullback_leibler,
    per_width,
    wasserstein,
)

A, B = np.random.default_rng(0).integers(0, 40, (2, 30)).astype(float)


def chains(n, shift=0.0, seed=0, bins=40):
    """Counts of 50 draws of a normal distribution for each chain, whose middle is its own."""
    rng = np.random.default_rng(seed)
    x = shift + rng.standard_normal((n, 1)) / 4 + rng.standard_normal((n, 50))
    place = np.clip(((x + 5) * bins / 10).astype(int), 0, bins - 1)
    return np.stack([np.bincount(row, minlength=bins) for row in place]).astype(float)


def test_they_are_those_of_scipy():
    p, q = (A + 0.5) / (A + 0.5).sum(), (B + 0.5) / (B + 0.5).sum()
    assert jensen_shannon(A, B) == pytest.approx(jensenshannon(p, q) ** 2)
    assert kullback_leibler(A, B) == pytest.approx(stats.entropy(p, q))
    assert kullback_leibler(A, B) != pytest.approx(float(kullback_leibler(B, A)))
    x = np.arange(30) * 0.25
    assert wasserstein(A, B, 0.25) == pytest.approx(stats.wasserstein_distance(x, x, A, B))
    assert per_width(0.25)(A, B) == wasserstein(A, B, 0.25)


def test_of_a_distribution_with_itself_they_are_0():
    for divergence in (jensen_shannon, kullback_leibler, wasserstein):
        assert divergence(A, 3 * A if divergence is wasserstein else A) == pytest.approx(0)
        assert divergence(A, B) > 0


def test_they_go_row_by_row():
    rows = np.stack([A, B])
    for divergence in (jensen_shannon, kullback_leibler, wasserstein):
        assert divergence(rows, B) == pytest.approx([float(divergence(A, B)), 0])


def test_of_distributions_apart_they_are_known():
    one, other = np.array([1e9, 0.0]), np.array([0.0, 1e9])
    assert jensen_shannon(one, other) == pytest.approx(math.log(2), rel=1e-6)
    assert wasserstein(one, other, 0.5) == 0.5


@pytest.mark.parametrize("divergence", [jensen_shannon, kullback_leibler, per_width(0.25)])
def test_a_distribution_is_within_its_baseline_and_a_shifted_one_beyond(divergence):
    reference = chains(300, seed=1)
    usual = baseline(reference, 60, divergence)
    same, shifted = (compare(chains(60, s, seed=2), reference, divergence) for s in (0.0, 0.5))
    assert usual.low < usual.value < usual.high
    assert same.value < 1.5 * usual.high
    assert shifted.value > 2 * usual.high
    assert shifted.low > same.high
    assert shifted.low < shifted.value < shifted.high


def test_intervals_are_about_as_wide_as_new_chains_spread():
    reference = chains(2_000, seed=1)
    values = [
        compare(chains(60, 0.5, seed), reference, per_width(0.25), draws=2).value
        for seed in range(10, 110)
    ]
    widths = [
        np.subtract(*compare(chains(60, 0.5, seed), reference, per_width(0.25))[:0:-1])
        for seed in range(5)
    ]
    assert np.mean(widths) / 2 == pytest.approx(1.96 * np.std(values), rel=0.2)


def test_the_baseline_of_one_chain_is_each_against_the_others():
    reference = chains(3)
    each = [float(kullback_leibler(row, reference.sum(0) - row)) for row in reference]
    value, low, high = baseline(reference, 1, kullback_leibler, draws=2_000)
    assert value == pytest.approx(np.mean(each), rel=0.02)
    assert (low, high) == pytest.approx((min(each), max(each)))


def test_baselines_fall_with_more_chains():
    reference = chains(400, seed=1)
    few, many = (baseline(reference, n, jensen_shannon).value for n in (10, 100))
    assert many < few / 3
    assert baseline(reference, 10_000, jensen_shannon) == baseline(reference, 200, jensen_shannon)


def test_where_there_is_nothing_to_say():
    nothing = np.zeros((3, 40))
    some = chains(5)
    for ours, theirs in ((nothing, some), (some, nothing)):
        assert compare(ours, theirs, jensen_shannon) == (None, None, None)
    assert compare(some[:1], some, jensen_shannon)[1:] == (None, None)
    assert baseline(some[:1], 5, jensen_shannon) == (None, None, None)
    assert baseline(nothing, 2, jensen_shannon) == (None, None, None)
