from itertools import chain, islice

import pytest

from feller.core.training.batches import Batches, Share


def global_batches(world, accumulate, *, steps, start=0, size=10, batch=4):
    """The indices of each step, over all processes."""
    per_process = [
        list(
            islice(
                Batches(
                    size,
                    Share(batch, rank=r, world=world, accumulate=accumulate),
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
        Share(8, world=3)
    with pytest.raises(ValueError, match="empty"):
        Batches(0, Share(4), seed=0)
