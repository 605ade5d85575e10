"""Which data each step sees: a function of the seed and the step alone.

So a run resumes anywhere without replaying, and any number of processes sees the same global
batches.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

from feller.core.random import seed_of

__all__ = ["Batches", "ProcessRows"]


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
    """Endless lists of indices, a micro-batch each: epochs of fresh permutations, laid end to end.

    Args:
        size: Number of data.
        rows: The rows this process works on.
        seed: Chooses the permutations.
        start: The first step.
        groups: The group of each datum, where all rows of a step are to be of one group, such as
            chains of one length. An epoch then leaves out, at random, less than a batch of each
            group; all of a group that is smaller.

    Raises:
        ValueError: Without data, or when no group fills a batch.
    """

    def __init__(
        self,
        size: int,
        rows: ProcessRows,
        *,
        seed: int,
        start: int = 0,
        groups: Tensor | None = None,
    ) -> None:
        if size < 1:
            raise ValueError("the data set is empty")
        self._rows, self._seed, self._start, self._groups = rows, seed, start, groups
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)
        self._length = size if groups is None else len(self._batches_of(groups.sort().indices))
        if not self._length:
            raise ValueError(f"no group of the data has a batch of {rows.batch_size}")

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the indices of each micro-batch, from the first step on."""
        step = self._start
        while True:
            for rows in self._rows:
                base = step * self._rows.batch_size
                yield [self._index(base + row) for row in rows]
            step += 1

    def _index(self, position: int) -> int:
        epoch, index = divmod(position, self._length)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._permutation(epoch)
        return int(self._order[index])

    def _permutation(self, epoch: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed_of(self._seed, "epoch", epoch))
        if self._groups is None:
            return torch.randperm(self._length, generator=rng)
        order = torch.randperm(len(self._groups), generator=rng)
        by_group = order[self._groups[order].sort(stable=True).indices]
        batches = self._batches_of(by_group).view(-1, self._rows.batch_size)
        return batches[torch.randperm(len(batches), generator=rng)].flatten()

    def _batches_of(self, by_group: Tensor) -> Tensor:
        """Return what of indices in the order of their groups fills whole batches."""
        assert self._groups is not None
        _, counts = self._groups[by_group].unique_consecutive(return_counts=True)
        size = self._rows.batch_size
        parts = by_group.split(counts.tolist())
        return torch.cat([part[: len(part) // size * size] for part in parts])
