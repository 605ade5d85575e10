"""Reading: the batches of a process from any step on, with workers or without."""

import random
from itertools import chain, islice

import numpy as np
import pytest
import torch

from feller.core.pair_data import PairData
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


class Drawn:
    """Data that draw: torch, numpy and Python, a number each."""

    def __len__(self):
        return 8

    def __getitem__(self, indices):
        return torch.rand(1).item(), np.random.rand(), random.random()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_data_draw_is_of_the_batch(workers):
    def read(rank, start, count, workers):
        rows = ProcessRows(8, rank=rank, world=2, accumulate=2)
        how = Reading(seed=1, start=start, order=2, workers=workers)
        return list(islice(read_batches(Drawn(), rows, how), count))

    whole, other = (read(rank, 0, 6, 1) for rank in (0, 1))
    draws = [draw for batch in (*whole, *other) for draw in batch]
    assert len(set(draws)) == len(draws)
    assert read(0, 1, 4, workers) == whole[2:]


@pytest.mark.parametrize("workers", [0, 1])
def test_sets_that_are_not_paired_draw_by_row(workers):
    data = PairData(torch.arange(90.0), torch.arange(8.0), paired=False)

    def read(**rows):
        batches = read_batches(data, ProcessRows(8, **rows), Reading(1, 0, 2, workers))
        some = [next(batches).pair for _ in range(2 * rows.get("accumulate", 1))]
        return torch.stack([torch.cat([p.x_0 for p in some]), torch.cat([p.x_1 for p in some])], 1)

    whole, parts = read(), read(accumulate=4)
    assert whole.equal(parts)
    assert whole[:4].equal(read(world=2)[:4])
    assert not whole[whole[:, 1].argsort()][::2].equal(whole[whole[:, 1].argsort()][1::2])


def test_other_errors_than_of_workers_are_as_they_were():
    def broken():
        raise RuntimeError("something else")
        yield

    with pytest.raises(RuntimeError, match="something else"):
        next_batch(broken())
