"""Reading data for the loop: batches of this process, from any step on.

What data draw themselves, such as augmentations, comes from the generators of torch, numpy and
Python. Where workers read, these are seeded for each batch, by the run's seed and the batch: a run
that goes on draws what it would have drawn. Data with `draws`, such as `PairData` of sets that are
not paired, are given a generator for each row, in `drawn(indices, rng)`: however many processes and
micro-batches share a step, they are the same.
"""

import random as python
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from feller.core import random
from feller.core.training.batches import Batches, ProcessRows, order_of
from feller.core.training.config import Dataset
from feller.core.training.stopping import heed_no_signal
from feller.core.training.streams import Stream

__all__ = ["Reading", "next_batch", "read_batches"]


@dataclass(frozen=True)
class Reading:
    """How data are read.

    Attributes:
        seed: Chooses their order.
        start: The first step.
        order: The version of the order.
        workers: Processes that read.
    """

    seed: int
    start: int
    order: int
    workers: int = 0


def read_batches(
    data: Dataset | Stream, rows: ProcessRows, how: Reading, *, pin: bool = False
) -> Iterator[Any]:
    """Return the micro-batches of this process, one after another, without end.

    Args:
        data: The data.
        rows: The rows of a step that this process works on.
        how: How they are read.
        pin: Whether batches are put where an accelerator reads them faster.

    Raises:
        ValueError: Without data, when no group of them fills a batch, or when workers would read
            a stream.

    Example:
        >>> import torch
        >>> from feller.core.training.own import GivenData
        >>> data = GivenData.of(torch.arange(4)).build()
        >>> batches = read_batches(data, ProcessRows(2), Reading(seed=0, start=0, order=2))
        >>> sorted([*next(batches).tolist(), *next(batches).tolist()])
        [0, 1, 2, 3]
    """
    if isinstance(data, Stream):
        if how.workers:
            raise ValueError("a stream is read by the training itself: give --training.workers 0")
        return data.batches(rows, seed=how.seed, start=how.start)
    order = order_of(data, rows.batch_size, seed=how.seed, version=how.order)
    indices: Any = Batches(order, rows, start=how.start)
    source: Any = data
    if how.workers or getattr(data, "draws", False):
        steps = (step for step in count(how.start) for _ in rows)
        source, indices = _Seeded(data, how), map(_Batch, steps, cycle(rows), indices)
    loader = DataLoader(
        source,
        sampler=indices,
        batch_size=None,
        num_workers=how.workers,
        pin_memory=pin,
        worker_init_fn=heed_no_signal,
    )
    return iter(loader)


class _Batch(NamedTuple):
    """A batch that is drawn: its step, its rows of the step, and the indices of its data."""

    step: int
    rows: range
    indices: list[int]


@dataclass(frozen=True)
class _Seeded:
    """Data that are read from generators of each batch, or of each row where data take them."""

    data: Any
    how: Reading

    def __getitem__(self, batch: _Batch) -> Any:
        seed, stream, first = self.how.seed, f"reading {batch.step}", batch.rows.start
        if self.how.workers:
            own = random.seed_of(seed, stream, first)
            torch.default_generator.manual_seed(own)
            np.random.seed(own % 2**32)
            python.seed(own)
        if getattr(self.data, "draws", False):
            rng = random.rows(seed, first, batch.rows.stop, stream=stream)
            return self.data.drawn(batch.indices, rng)
        return self.data[batch.indices]


def next_batch(batches: Iterator[Any]) -> Any:
    """Return the next batch.

    Raises:
        OSError: When a process that reads data was killed.
    """
    try:
        return next(batches)
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        first = str(error).splitlines()[0]
        raise OSError(
            f"{first}: a process that reads data was killed, perhaps for lack of memory; "
            "--training.workers 0 reads without"
        ) from None
