"""Streams: data sets of other libraries that are iterated over, without indices.

A stream is read in blocks of `block` items, and each block is shuffled; the permutation is a
function of the seed, the epoch and the block. If a source can report its position (`state_dict`, as
in `datasets`), a bookmark at the start of a block is saved with each checkpoint: a run resumes with
less than a block to read again. Other sources are read again from the start of their epoch. Every
process reads the whole stream and takes its rows, so that any number of them sees the same batches,
each item once per epoch.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, default_collate

from feller.core.errors import DataError
from feller.core.random import seed_of
from feller.core.training.batches import ProcessRows
from feller.core.training.fingerprints import digest_of
from feller.core.training.orders import Shuffle

__all__ = ["BLOCK", "Stream", "bookmark_of", "is_stream", "turn_to"]

BLOCK = 4096
"""Items of a block."""


def is_stream(data: Any) -> bool:
    """Return whether data come one after another: they can be iterated over, and have no numbers.

    Example:
        >>> is_stream(iter([1])), is_stream([1])
        (True, False)
    """
    if isinstance(data, Stream | IterableDataset):  # torch's has a `__getitem__` that raises
        return True
    return hasattr(data, "__iter__") and not hasattr(data, "__getitem__")


class Stream:
    """Batches of items that come one after another.

    Args:
        source: Can be iterated over repeatedly. It may have `set_epoch(n)`, called before each
            epoch, and `state_dict()` with `load_state_dict(state)`, where `state` can be stored as
            JSON.
        block: Number of items shuffled together and held in memory.

    Raises:
        ValueError: When it can be iterated over only once, yields batches, or a block is empty.

    Example:
        >>> class Numbers:
        ...     def __iter__(self):
        ...         return iter(range(6))
        >>> batches = Stream(Numbers()).batches(ProcessRows(3), seed=0)
        >>> sorted([*next(batches).tolist(), *next(batches).tolist()])
        [0, 1, 2, 3, 4, 5]
    """

    def __init__(self, source: Any, *, block: int = BLOCK) -> None:
        if iter(source) is source:
            kind = type(source).__name__
            raise ValueError(f"a stream is iterated over each epoch: a {kind} is, once alone")
        if isinstance(source, DataLoader) and source.batch_sampler is not None:
            raise ValueError("a stream is of items, and a DataLoader of batches: give its dataset")
        if block < 1:
            raise ValueError(f"a block has at least one item, not {block}")
        self.source, self.block = source, block
        self._items: list[Any] = []
        self._start()

    def first(self, count: int) -> Any:
        """Return a batch of the first items.

        Raises:
            DataError: When there are none.
        """
        items = list(islice(iter(self.source), count))
        if not items:
            raise DataError(f"the stream ({type(self.source).__name__}) is empty")
        return _collated(items)

    def fingerprint(self) -> dict[str, Any]:
        """Return what distinguishes the stream: its first items."""
        sample = digest_of(list(islice(iter(self.source), 8)))
        return {"items": None, "groups": None, "sample": sample}

    def batches(self, rows: ProcessRows, *, seed: int, start: int = 0) -> Iterator[Any]:
        """Yield the micro-batches of a process from a step on, without end.

        Args:
            rows: The rows of a step that it works on.
            seed: Chooses the order of each block.
            start: The first step.

        Raises:
            DataError: When the stream is empty, or does not come back to its bookmark.
        """
        step, self._seed = start, seed
        if self._begin > step * rows.batch_size:
            self._start()
        self._items = []
        while True:
            for some in rows:
                first = step * rows.batch_size
                yield _collated([self._item(first + row) for row in some])
            step += 1

    def bookmark(self) -> dict[str, Any]:
        """Return where the current block begins, as JSON takes it."""
        mark = {"epoch": self._epoch, "begin": self._begin, "taken": self._taken}
        return {**mark, "block": self.block, "state": self._state, "first": self._mark}

    def turn_to(self, bookmark: Mapping[str, Any]) -> None:
        """Go on where a bookmark is.

        Raises:
            ValueError: When blocks had another size.
        """
        if bookmark["block"] != self.block:
            raise ValueError(f"the run has blocks of {bookmark['block']} items, not {self.block}")
        self._epoch, self._begin = bookmark["epoch"], bookmark["begin"]
        self._taken, self._state = bookmark["taken"], bookmark["state"]
        self._mark, self._reader, self._items = bookmark["first"], None, []

    def _start(self) -> None:
        """Go to the first item of the first epoch."""
        self._epoch, self._begin, self._taken = 0, 0, 0
        self._state: Any = None
        self._mark = ""
        self._reader: Iterator[Any] | None = None

    def _item(self, position: int) -> Any:
        """Return the item at a position of the epochs laid end to end; positions rise."""
        if not self._items:
            self._read()
        while position >= self._begin + len(self._items):
            self._begin += len(self._items)
            self._taken += len(self._items)
            self._state, self._mark = self._said(), ""
            self._read()
        return self._items[int(self._order[position - self._begin])]

    def _read(self) -> None:
        """Read the block that begins here, or the first one of the next epoch."""
        reader = self._opened() if self._reader is None else self._reader
        items = list(islice(reader, self.block))
        if not items:
            if not self._taken:
                raise DataError(f"the stream ({type(self.source).__name__}) is empty")
            self._epoch, self._taken, self._state, self._mark = self._epoch + 1, 0, None, ""
            self._reader = None
            self._read()
            return
        mark = digest_of(items[0])
        if self._mark and mark != self._mark:
            raise DataError(
                "the stream does not come back to where it was: its order changes from one reading "
                "to the next; leave the shuffling to feller, which shuffles blocks"
            )
        self._reader, self._items, self._mark = reader, items, mark
        seed = seed_of(self._seed, "epoch", self._epoch, "item", self._taken)
        self._order = Shuffle(len(items), seed=seed)(np.arange(len(items)))

    def _opened(self) -> Iterator[Any]:
        """Return a reader that stands where this block begins."""
        # A copy: what was turned to a bookmark would begin there in the next epoch, too.
        stands = hasattr(self.source, "load_state_dict")
        self._live: Any = copy.deepcopy(self.source) if stands else self.source
        if hasattr(self._live, "set_epoch"):
            self._live.set_epoch(self._epoch)
        if self._state is not None:
            self._live.load_state_dict(self._state)
            return iter(self._live)
        reader = iter(self._live)
        for _ in islice(reader, self._taken):
            pass
        return reader

    def _said(self) -> Any:
        """Return where the source says that it stands; None where it does not."""
        if not hasattr(self._live, "state_dict"):
            return None
        state = self._live.state_dict()
        try:
            return json.loads(json.dumps(state))
        except TypeError:
            return None


def bookmark_of(data: Any) -> dict[str, Any] | None:
    """Return the bookmark of a stream; None of other data, whose order follows from the step."""
    return data.bookmark() if isinstance(data, Stream) else None


def turn_to(data: Any, bookmark: Mapping[str, Any] | None) -> None:
    """Let a stream go on where its bookmark is; other data need none."""
    if isinstance(data, Stream) and bookmark is not None:
        data.turn_to(bookmark)


def _collated(items: list[Any]) -> Any:
    """Return items as a batch: tensors, pairs of a data point and its condition, or a dict."""
    return default_collate([_parts(item) for item in items])


def _parts(item: Any) -> Any:
    """Return an item with tensors, where it is columns by name: the data point comes first."""
    if not isinstance(item, Mapping):
        return item
    if len(item) not in (1, 2):
        names = ", ".join(map(str, item))
        raise DataError(
            f"an item has the columns {names}: select that of the data point, or it and that of "
            'its condition, such as .select_columns(["image", "label"])'
        )
    values = [torch.as_tensor(np.asarray(value)) for value in item.values()]
    return values[0] if len(values) == 1 else values
