from itertools import chain, islice

import numpy as np
import pytest
import torch

from feller.core.training.batches import Batches, ProcessRows, order_of
from feller.core.training.orders import LISTED, ORDER


def global_batches(world, accumulate, *, steps, start=0, size=10, batch=4):
    """The indices of each step, over all processes."""
    per_process = [
        list(
            islice(
                Batches(
                    order_of(range(size), batch, seed=3),
                    ProcessRows(batch, rank=r, world=world, accumulate=accumulate),
                    start=start,
                ),
                steps * accumulate,
            )
        )
        for r in range(world)
    ]
    return [
        list(
            chain.from_iterable(
                chain.from_iterable(p[s * accumulate : (s + 1) * accumulate] for p in per_process)
            )
        )
        for s in range(steps)
    ]


def test_an_epoch_visits_every_datum_once():
    indices = list(chain.from_iterable(global_batches(1, 1, steps=5)))
    assert sorted(indices[:10]) == list(range(10))
    assert sorted(indices[10:]) == list(range(10))
    assert indices[:10] != indices[10:]


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 2), (2, 2), (4, 1)])
def test_global_batches_do_not_depend_on_who_works(world, accumulate):
    assert global_batches(world, accumulate, steps=6) == global_batches(1, 1, steps=6)


def test_a_later_start_continues():
    assert global_batches(1, 1, steps=6)[4:] == global_batches(1, 1, steps=2, start=4)


def test_a_batch_may_be_larger_than_the_data():
    (batch,) = global_batches(1, 1, steps=1, size=3, batch=8)
    assert sorted(batch[:3]) == sorted(batch[3:6]) == [0, 1, 2]


class Grouped:
    def __init__(self, groups):
        self.groups = groups

    def __len__(self):
        return len(self.groups)


def grouped_batches(groups, *, seed=3, start=0, version=ORDER, **rows):
    order = order_of(Grouped(groups), 4, seed=seed, version=version)
    return iter(Batches(order, ProcessRows(4, **rows), start=start))


def test_refusals():
    with pytest.raises(ValueError, match="8 does not divide into 3 processes x 1 micro-batches"):
        ProcessRows(8, world=3)
    with pytest.raises(ValueError, match="empty"):
        order_of(range(0), 4, seed=0)
    with pytest.raises(ValueError, match="no group of the data has a batch of 4"):
        order_of(Grouped(torch.arange(4)), 4, seed=0)
    with pytest.raises(ValueError, match=f"order 9, and this feller knows 1 to {ORDER}"):
        order_of(range(3), 4, seed=0, version=9)


@pytest.mark.parametrize("version", [1, 2])
def test_groups_never_mix_within_a_step(version):
    groups = torch.tensor([0] * 7 + [1] * 9 + [2] * 3)
    order = grouped_batches(groups, version=version)
    epoch = [next(order) for _ in range(3)]  # one batch of 4 from group 0, two from group 1
    assert all({int(groups[i]) for i in batch} == {int(groups[batch[0]])} for batch in epoch)
    assert sorted(int(groups[batch[0]]) for batch in epoch) == [0, 1, 1]
    assert len({i for batch in epoch for i in batch}) == 12
    later = [next(order) for _ in range(60)]
    assert {i for batch in later for i in batch} == set(range(16))  # the small group never comes


@pytest.mark.parametrize("version", [1, 2])
def test_groups_are_the_same_on_two_processes_and_from_a_later_step(version):
    groups = torch.arange(40) // 10
    whole = grouped_batches(groups, version=version)
    parts = [grouped_batches(groups, version=version, rank=r, world=2) for r in (0, 1)]
    steps = [next(whole) for _ in range(25)]
    assert steps == [next(parts[0]) + next(parts[1]) for _ in range(25)]
    late = grouped_batches(groups, version=version, start=20)
    assert [next(late) for _ in range(5)] == steps[20:]


def test_chunks_are_read_a_few_at_once():
    class Shards:
        chunks, pool = np.array([5, 3, 0, 4, 8]), 2

        def __len__(self):
            return 20

    order = iter(Batches(order_of(Shards(), 4, seed=1), ProcessRows(4)))
    epoch = list(chain.from_iterable(next(order) for _ in range(5)))
    assert sorted(epoch) == list(range(20))
    shard = np.repeat(np.arange(5), Shards.chunks)[epoch]
    spans = [
        (int(at.min()), int(at.max())) for at in (np.flatnonzero(shard == s) for s in (0, 1, 3, 4))
    ]
    open_at_once = [sum(a <= i <= b for a, b in spans) for i in range(20)]
    assert max(open_at_once) <= 2


def test_few_data_keep_the_order_of_version_1_and_many_do_not():
    for size, same in ((50, True), (LISTED, True), (LISTED + 1, False)):
        positions = np.arange(20)
        old, new = (order_of(range(size), 4, seed=5, version=v).at(3, positions) for v in (1, 2))
        assert np.array_equal(old, new) == same
