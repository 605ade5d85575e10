import numpy as np
import pytest
import torch
from scipy.stats import chi2

from feller.core.training.orders import ChunkedOrder, GroupedOrder, PlainOrder, Shuffle

SIZES = [1, 2, 3, 4, 5, 7, 10, 16, 17, 99, 100, 101, 1000, 1023, 1024, 1025, 65537, 300_001]


def network(n, seed=0):
    """A permutation that is computed, however few there are."""
    return Shuffle(n, seed=seed, listed=0)


def p_value(counts, expected=None):
    """The probability of a chi-square as large, of counts that are equal in expectation."""
    expected = counts.mean() if expected is None else expected
    return chi2.sf(((counts - expected) ** 2 / expected).sum(), counts.size - 1)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("listed", [0, 10**6])
def test_a_shuffle_is_a_bijection(n, listed):
    for seed in (0, 2**63 - 1):
        found = Shuffle(n, seed=seed, listed=listed)(np.arange(n))
        assert found.dtype == np.int64
        assert np.array_equal(np.sort(found), np.arange(n))


def test_positions_may_be_asked_in_any_order_and_one_by_one():
    shuffle, whole = network(10_007), network(10_007)(np.arange(10_007))
    some = np.array([9_999, 0, 17, 0])
    assert np.array_equal(shuffle(some), whole[some])


def test_large_numbers_stay_distinct_and_in_range():
    n = 10**15 + 1
    found = network(n)(np.arange(100_000))
    assert len(np.unique(found)) == 100_000
    assert found.min() >= 0
    assert found.max() < n
    assert p_value(np.bincount(found // (n // 50 + 1), minlength=50)) > 1e-4


def test_all_permutations_of_four_come_equally_often():
    found = np.stack([network(4, seed)(np.arange(4)) for seed in range(3_600)])
    _, counts = np.unique(found, axis=0, return_counts=True)
    assert len(counts) == 24
    assert p_value(counts) > 1e-4


@pytest.mark.parametrize("n", [1_000, 2**20 + 7])
def test_neighbours_land_anywhere(n):
    """Pairs of neighbouring positions, and of a position with its index, are uniform."""
    at = np.arange(min(n, 200_000) - 1)
    for seed in range(4):
        shuffle = network(n, seed)
        here, there = shuffle(at) * 16 // n, shuffle(at + 1) * 16 // n
        assert p_value(np.bincount(16 * here + there, minlength=256)) > 1e-5
        place = at * 16 // len(at)
        assert p_value(np.bincount(16 * place + here, minlength=256)) > 1e-5


def test_neighbours_differ_by_anything():
    n = 2**20 + 7
    steps = np.diff(network(n)(np.arange(200_000))) % n
    assert p_value(np.bincount(steps * 64 // n, minlength=64)) > 1e-5
    assert len(np.unique(steps)) > 180_000  # a linear rule would have few


def test_epochs_know_nothing_of_each_other():
    order = PlainOrder(2**20 + 7, seed=3)
    at = np.arange(100_000)
    one, other = (order.at(epoch, at) * 16 // order.length for epoch in (0, 1))
    assert p_value(np.bincount(16 * one + other, minlength=256)) > 1e-5
    assert np.array_equal(order.at(0, at[:5]), PlainOrder(2**20 + 7, seed=3).at(0, at[:5]))


def test_what_groups_leave_out_is_any_of_them():
    groups = torch.tensor([0] * 7 + [1] * 10)
    order, left = GroupedOrder(groups, 4, seed=0), np.zeros(17)
    for epoch in range(900):
        found = order.at(epoch, np.arange(order.length))
        assert len(np.unique(found)) == 12
        left[np.setdiff1d(np.arange(17), found)] += 1
    assert p_value(left[:7]) > 1e-4  # 3 of 7
    assert p_value(left[7:]) > 1e-4  # 2 of 10


def test_many_groups_are_shuffled_without_lists(monkeypatch):
    monkeypatch.setattr("feller.core.training.orders.FEW", 10)
    groups = torch.arange(1_000) % 3
    order = GroupedOrder(groups, 5, seed=0)
    found = order.at(0, np.arange(order.length))
    assert len(np.unique(found)) == order.length == 990
    assert all(len(set((batch % 3).tolist())) == 1 for batch in found.reshape(-1, 5))


@pytest.mark.parametrize("pool", [1, 2, 3, 7, 20])
def test_chunks_are_visited_once_each(pool):
    order = ChunkedOrder(np.array([4, 0, 3, 5, 1, 2, 6]), pool, seed=2)
    found = order.at(1, np.arange(21))
    assert np.array_equal(np.sort(found), np.arange(21))
    assert np.array_equal(found[[20, 3]], order.at(1, np.array([20, 3])))
    assert not np.array_equal(found, order.at(2, np.arange(21)))
