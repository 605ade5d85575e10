"""Reading: the batches of a process from any step on, with workers or without."""

from itertools import chain, islice

import pytest
import torch

from feller.core.training.batches import ProcessRows
from feller.core.training.own import GivenData
from feller.core.training.reading import Reading, next_batch, read_batches


@pytest.fixture
def data():
    return GivenData.of(torch.arange(10)).build()


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_follow_the_order_from_any_step(workers, data):
    rows, order = ProcessRows(4), Reading(seed=1, start=0, order=2)
    whole = [batch.tolist() for batch in islice(read_batches(data, rows, order), 5)]
    assert sorted(chain(*whole)) == sorted([*range(10)] * 2)
    late = read_batches(data, rows, Reading(seed=1, start=3, order=2, workers=workers))
    assert [next_batch(late).tolist() for _ in range(2)] == whole[3:]


def test_other_errors_than_of_workers_are_as_they_were():
    def broken():
        raise RuntimeError("something else")
        yield

    with pytest.raises(RuntimeError, match="something else"):
        next_batch(broken())
