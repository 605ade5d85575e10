from itertools import chain, islice

import pytest
import torch

from feller.core.training.batches import Batches, ProcessRows


def global_batches(world, accumulate, *, steps, start=0, size=10, batch=4):
    """The indices of each step, over all processes."""
    per_process = [
        list(
            islice(
                Batches(
                    size,
                    ProcessRows(batch, rank=r, world=world, accumulate=accumulate),
                    seed=3,
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


def test_refusals():
    with pytest.raises(ValueError, match="8 does not divide into 3 processes x 1 micro-batches"):
        ProcessRows(8, world=3)
    with pytest.raises(ValueError, match="empty"):
        Batches(0, ProcessRows(4), seed=0)


def test_groups_never_mix_within_a_step():
    groups = torch.tensor([0] * 7 + [1] * 9 + [2] * 3)
    order = iter(Batches(19, ProcessRows(4), seed=0, groups=groups))
    epoch = [next(order) for _ in range(3)]  # one batch of 4 from group 0, two from group 1
    assert sorted({int(groups[i]) for i in batch} == {int(groups[batch[0]])} for batch in epoch)
    assert sorted(int(groups[batch[0]]) for batch in epoch) == [0, 1, 1]
    assert len({i for batch in epoch for i in batch}) == 12
    later = [next(order) for _ in range(30)]
    assert {i for batch in later for i in batch} == set(range(16))  # the small group never comes


def test_groups_are_the_same_on_two_processes_and_from_a_later_step():
    groups = torch.arange(40) // 10
    whole = iter(Batches(40, ProcessRows(4), seed=3, groups=groups))
    parts = [
        iter(Batches(40, ProcessRows(4, rank=r, world=2), seed=3, groups=groups)) for r in (0, 1)
    ]
    steps = [next(whole) for _ in range(25)]
    assert steps == [next(parts[0]) + next(parts[1]) for _ in range(25)]
    late = iter(Batches(40, ProcessRows(4), seed=3, start=20, groups=groups))
    assert [next(late) for _ in range(5)] == steps[20:]


def test_no_group_fills_a_batch():
    with pytest.raises(ValueError, match="no group of the data has a batch of 4"):
        Batches(4, ProcessRows(4), seed=0, groups=torch.arange(4))
