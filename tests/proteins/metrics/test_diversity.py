"""Clusters against scipy's, means over pairs, and the nearest of a reference."""

import numpy as np
import pytest
from folds import chain_of, mixed, regular
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from feller.proteins.metrics.diversity import (
    aligned,
    clusters,
    mean_pair,
    nearest_scores,
    pair_scores,
    thumbnails,
)


def scores_of(n, seed=0):
    """Random scores of pairs, 1 of each with itself."""
    x = np.random.default_rng(seed).uniform(0, 1, (n, n))
    return np.where(np.eye(n, dtype=bool), 1.0, (x + x.T) / 2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_clusters_are_those_of_scipy(seed, threshold):
    scores = scores_of(25, seed)
    tree = linkage(squareform(1 - scores, checks=False), "complete")
    expected = fcluster(tree, 1 - threshold, "distance")
    found = clusters(scores, threshold)
    same = found[:, None] == found[None]
    assert (same == (expected[:, None] == expected[None])).all()
    assert set(found) == set(range(max(found) + 1))


def test_everything_alike_is_one_cluster_and_nothing_alike_is_all():
    assert set(clusters(np.ones((6, 6)))) == {0}
    assert clusters(np.eye(4)).tolist() == [0, 1, 2, 3]
    assert clusters(np.ones((1, 1))).tolist() == [0]
    assert clusters(np.zeros((0, 0))).tolist() == []


def test_the_mean_is_over_pairs_of_different_chains():
    scores = scores_of(30)
    value, low, high = mean_pair(scores)
    assert value == pytest.approx(scores[np.triu_indices(30, 1)].mean())
    assert low < value < high
    assert mean_pair(np.ones((1, 1))) == (None, None, None)


def test_pairs_without_a_score_count_for_nothing():
    scores = scores_of(12)
    scores[3], scores[:, 3] = np.nan, np.nan
    kept = np.delete(np.delete(scores, 3, 0), 3, 1)
    value, low, high = mean_pair(scores)
    assert value == pytest.approx(mean_pair(kept).value)
    assert low < value < high
    assert mean_pair(np.full((2, 2), np.nan)) == (None, None, None)


def test_intervals_of_pairs_know_that_pairs_share_chains():
    """Scores (a_i + a_j) / 2 have the mean of a, which spreads as a does."""
    a = np.random.default_rng(0).uniform(0, 1, 60)
    _, low, high = mean_pair((a[:, None] + a[None]) / 2)
    assert (high - low) / 2 == pytest.approx(1.96 * a.std() / np.sqrt(60), rel=0.15)


def test_scores_of_pairs():
    one, two = mixed(40), mixed(40, 1)
    scores = pair_scores([one, two, one], "biotite")
    assert np.diag(scores).tolist() == [1, 1, 1]
    assert np.array_equal(scores, scores.T)
    assert scores[0, 2] == pytest.approx(1)
    assert scores[0, 1] < 0.5
    assert clusters(scores).tolist() == [0, 1, 0]


def test_a_chain_of_four_is_not_aligned():
    short, one = regular(4), mixed(40)
    assert np.isnan(pair_scores([short, one], "biotite")[0, 1])
    assert aligned([short, one]) == [one]


def test_thumbnails_do_not_move_and_tell_folds_apart():
    one, other = mixed(60), mixed(60, 1)
    turned = chain_of(one.atoms[..., [1, 2, 0]] + 5)
    a, b, c, empty = thumbnails([one, turned, other, chain_of(np.full((3, 4, 3), np.nan))])
    assert a.shape == (120,)
    assert a == pytest.approx(b, abs=1e-4)
    assert np.abs(a - c).max() > 3
    assert not empty.any()


def test_the_nearest_is_found():
    pool = [mixed(45, seed) for seed in range(8)]
    longer = chain_of(np.concatenate([pool[3].atoms, regular(5).atoms]))
    found = nearest_scores([pool[5], longer], pool, candidates=4, tool="biotite")
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx(45 / 50, abs=0.01)  # by the length of the sample
    with pytest.raises(ValueError, match="empty reference"):
        nearest_scores(pool, [])
