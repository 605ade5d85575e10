"""Which data each step sees: a function of the seed and the step alone.

So a run resumes anywhere without replaying, and any number of processes sees the same global
batches.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from feller.core.training.orders import (
    ORDER,
    ChunkedOrder,
    GroupedOrder,
    Order,
    Permuted,
    PlainOrder,
)

__all__ = ["Batches", "ProcessRows", "order_of"]


class ProcessRows:
    """The rows of a global batch that one process works on, in micro-batches.

    Args:
        batch_size: Rows of the global batch.
        rank: The process.
        world: The number of processes.
        accumulate: Micro-batches a step.

    Raises:
        ValueError: When the batch does not divide.

    Example:
        >>> list(ProcessRows(8, rank=1, world=2, accumulate=2))
        [range(4, 6), range(6, 8)]
    """

    def __init__(
        self, batch_size: int, *, rank: int = 0, world: int = 1, accumulate: int = 1
    ) -> None:
        if batch_size % (world * accumulate):
            raise ValueError(
                f"batch_size {batch_size} does not divide into "
                f"{world} processes x {accumulate} micro-batches"
            )
        self.batch_size = batch_size
        size = batch_size // (world * accumulate)
        start = rank * size * accumulate
        self._ranges = [range(start + i * size, start + (i + 1) * size) for i in range(accumulate)]

    def __iter__(self) -> Iterator[range]:
        """Yield the rows of each micro-batch."""
        return iter(self._ranges)

    def __len__(self) -> int:
        """Return the number of micro-batches."""
        return len(self._ranges)


class Batches(Sampler[list[int]]):
    """Endless lists of indices, a micro-batch each: epochs of fresh orders, laid end to end.

    Args:
        order: The order of the data (`order_of`).
        rows: The rows this process works on.
        start: The first step.
    """

    def __init__(self, order: Order, rows: ProcessRows, *, start: int = 0) -> None:
        self._order, self._rows, self._start = order, rows, start

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the indices of each micro-batch, from the first step on."""
        step = self._start
        while True:
            for rows in self._rows:
                first = step * self._rows.batch_size + rows.start
                yield self._indices(first, first + len(rows))
            step += 1

    def _indices(self, first: int, stop: int) -> list[int]:
        """Return the indices at some positions of the epochs laid end to end."""
        found: list[int] = []
        while first < stop:
            epoch, start = divmod(first, self._order.length)
            end = min(start + stop - first, self._order.length)
            found += self._order.at(epoch, np.arange(start, end)).tolist()
            first += end - start
        return found


def order_of(data: Any, batch_size: int, *, seed: int, version: int = ORDER) -> Order:
    """Return the order of a data set.

    Args:
        data: It has a length. With `groups`, the group of each datum, all rows of a step are of one
            group, such as chains of one length: an epoch leaves out, at random, less than a batch
            of each group, and all of a group that is smaller. With `chunks`, how many data lie
            together, in their order, and `pool`, how many chunks are read at once, no more are.
        batch_size: Rows of a step.
        seed: Chooses the order.
        version: The version of the order (`feller.core.training.orders.ORDER`).

    Raises:
        ValueError: Without data, when no group fills a batch, or of an unknown version.

    Example:
        >>> order_of(range(5), 2, seed=0).length
        5
    """
    size, groups = len(data), getattr(data, "groups", None)
    chunks = getattr(data, "chunks", None)
    if size < 1:
        raise ValueError("the data set is empty")
    if not 1 <= version <= ORDER:
        raise ValueError(
            f"the run has its data in order {version}, and this feller knows 1 to {ORDER}: "
            "pip install -U feller-core"
        )
    if version == 1:
        found = Permuted(size, groups, batch_size, seed=seed)
    elif groups is not None:
        found = GroupedOrder(groups, batch_size, seed=seed)
    elif chunks is not None:
        found = ChunkedOrder(chunks, data.pool, seed=seed)
    else:
        found = PlainOrder(size, seed=seed)
    if not found.length:
        raise ValueError(f"no group of the data has a batch of {batch_size}")
    return found
