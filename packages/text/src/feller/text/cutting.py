"""Cutting a corpus: documents become ids, laid end to end in a file, by all cores of the machine.

Documents are sent to other processes some at a time, and come back in their order: the file is the
same on any number of cores. A document that is longer than what is sent at once is cut where it is
read, a piece at a time, so that it need not fit into memory.
"""

import os
import sys
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from feller.core.waiting import saying
from feller.text.corpora import DataError, Passage
from feller.text.tokenizers import Tokenizer
from feller.text.tokenizers.streams import Tally, encode_pieces

__all__ = ["Cut", "cores", "write_ids"]

SENT = 2**20
"""Characters that are sent at once; fewer in all are not worth other processes."""

Documents = list[tuple[str, list[str]]]
"""Names of documents, and their pieces."""


@dataclass(frozen=True)
class Cut:
    """How text becomes ids.

    Attributes:
        tokenizer: The tokenizer.
        has_end: Whether an end follows each document.
        kind: The type of ids in the file.
    """

    tokenizer: Tokenizer
    has_end: bool
    kind: Any

    def ids(self, name: str, pieces: Iterator[str], tally: Tally) -> Iterator[np.ndarray]:
        """Yield the ids of a document, with its end where there is one.

        Raises:
            TokenizerError: When it holds something the tokenizer does not know.
        """
        for ids in encode_pieces(self.tokenizer, pieces, name, tally):
            yield np.asarray(ids, dtype=self.kind)
        yield np.array([self.tokenizer.size] * self.has_end, dtype=self.kind)


def cores() -> int:
    """Return how many processes cut: the cores of this process, where it can be forked safely."""
    if not sys.platform.startswith("linux"):
        return 1
    return len(os.sched_getaffinity(0))


def write_ids(file: Path, parts: Iterator[Passage], cut: Cut, *, processes: int = 0) -> int:
    """Write the ids of a corpus; the file appears whole or not at all. Return how many there are.

    What the tokenizer loses is listed in a file `.txt` beside it.

    Args:
        file: The file.
        parts: The documents, a passage at a time.
        cut: How they become ids.
        processes: How many cut; `cores()` if 0.

    Raises:
        TokenizerError: When a document holds something the tokenizer does not know.
        DataError: When a process that cuts was killed.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    count, tally = 0, Tally()
    try:
        with partial.open("wb") as stream, saying(f"cutting {file.stem}"):
            for ids in _in_order(parts, cut, processes or cores(), tally):
                stream.write(ids.tobytes())
                count += len(ids)
        if count and (lost := tally.sentence()):
            file.with_suffix(".txt").write_text(lost, encoding="utf-8")
        if count:
            os.replace(partial, file)  # noqa: PTH105  (atomic, the point of it)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _in_order(
    parts: Iterator[Passage], cut: Cut, processes: int, tally: Tally
) -> Iterator[np.ndarray]:
    """Yield ids in the order of the text; whatever waits in other processes comes first."""
    waiting: deque[Future[tuple[np.ndarray, Tally]]] = deque()
    pool: ProcessPoolExecutor | None = None
    try:
        for sent, long in _jobs(parts):
            if processes > 1 and long is None and (pool or _size(sent) >= SENT):
                pool = pool or _pool(cut, processes)
                waiting.append(pool.submit(_encoded, sent))
                while len(waiting) > 2 * processes:
                    yield _done(waiting.popleft(), tally)
                continue
            while waiting:
                yield _done(waiting.popleft(), tally)
            for name, pieces in sent:
                yield from cut.ids(name, iter(pieces), tally)
            if long is not None:
                yield from cut.ids(long[0], long[1], tally)
        while waiting:
            yield _done(waiting.popleft(), tally)
    finally:
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)


def _jobs(
    parts: Iterator[Passage],
) -> Iterator[tuple[Documents, tuple[str, Iterator[str]] | None]]:
    """Yield documents some at a time; with them one that is longer, whose rest is still unread."""
    sent: Documents = []
    size = 0
    for first in parts:
        pieces, last = [first.text], first
        while not last.ends and sum(map(len, pieces)) < SENT:
            last = next(parts)
            pieces.append(last.text)
        if not last.ends:
            rest = _rest(parts)
            yield sent, (first.name, _joined(pieces, rest))
            for _ in rest:
                pass
            sent, size = [], 0
            continue
        sent.append((first.name, pieces))
        size += sum(map(len, pieces))
        if size >= SENT:
            yield sent, None
            sent, size = [], 0
    if sent:
        yield sent, None


def _rest(parts: Iterator[Passage]) -> Iterator[str]:
    """Yield what is left of a document."""
    for part in parts:
        yield part.text
        if part.ends:
            return


def _joined(pieces: list[str], rest: Iterator[str]) -> Iterator[str]:
    """Yield the pieces of a document, none of which is kept, and its rest."""
    while pieces:
        yield pieces.pop(0)
    yield from rest


def _size(sent: Documents) -> int:
    return sum(len(piece) for _, pieces in sent for piece in pieces)


def _pool(cut: Cut, processes: int) -> ProcessPoolExecutor:
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("fork"), initializer=_begin, initargs=(cut,)
    )
    with warnings.catch_warnings():  # of threads of torch, which the other processes do not use
        warnings.simplefilter("ignore")
        pool.submit(os.getpid).result()
    return pool


def _begin(cut: Cut) -> None:
    """Keep what each process of a pool needs."""
    global _cut
    _cut = cut


_cut: Cut | None = None


def _encoded(sent: Documents) -> tuple[np.ndarray, Tally]:
    """Return the ids of documents, in a process of a pool."""
    assert _cut is not None
    tally = Tally()
    found = [ids for name, pieces in sent for ids in _cut.ids(name, iter(pieces), tally)]
    return np.concatenate(found), tally


def _done(future: "Future[tuple[np.ndarray, Tally]]", tally: Tally) -> np.ndarray:
    try:
        ids, own = future.result()
    except BrokenProcessPool:
        raise DataError(
            "a process that cuts the corpus was killed, perhaps for lack of memory: free some"
        ) from None
    tally.take(own)
    return ids
