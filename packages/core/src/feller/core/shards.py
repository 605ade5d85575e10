"""Data in shards: tar files of the WebDataset layout, in a folder or on the web.

The files of a sample have one name and differ in their endings from the first dot on:
`000017.jpg` and `000017.cls`. A shard is a chunk of the order of data
(`feller.core.training.orders.ChunkedOrder`): a few are read at once and shuffled as one, so the
order is a function of the seed and the step, and a run resumes where it was.

Source: https://github.com/webdataset/webdataset (layout); its `wids` index, a JSON file with
`shardlist`, `url` and `nsamples`, says how many samples each shard has.
"""

import hashlib
import json
import os
import re
import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin

import numpy as np

from feller.core.config import fits
from feller.core.errors import DataError
from feller.core.files import read_json, write_text
from feller.core.remote import download, is_remote, read_remote
from feller.core.tars import Part, opened_file, samples_of
from feller.core.waiting import EVERY, alone

__all__ = ["Shards", "find_shards", "held_out"]

POOL = 8
"""Shards that are read at once and shuffled as one."""
CACHED = 50 * 10**9
"""Bytes of shards of the web that are kept on the disk."""
_OPEN = 4 * POOL
_MOST = 2**40  # samples of a shard
_FRACTION = 10


class Shard(NamedTuple):
    """A shard.

    Attributes:
        name: Its file or address.
        samples: How many it has; -1 where that is not known yet.
    """

    name: str
    samples: int = -1


def find_shards(where: str, split: str = "train") -> list[Shard]:
    """Return the shards that a name means.

    Args:
        where: A pattern of files (`data/*.tar`), a folder of tar files, an address with numbers in
            braces (`https://example.org/a-{000..099}.tar`), or an index of `wids` (`.json`).
            `{split}` in it is `train` or `test`; without, the last tenth of the shards is held out.
        split: `train` or `test`; all shards if empty.

    Raises:
        DataError: When there are none, or none to hold out.

    Example:
        >>> [shard.name for shard in find_shards("http://a/{split}-{8..10}.tar", "test")]
        ['http://a/test-8.tar', 'http://a/test-9.tar', 'http://a/test-10.tar']
    """
    named = "{split}" in where
    asked = where.replace("{split}", split)
    if asked.endswith(".json"):
        found = _listed(asked)
    elif is_remote(asked):
        found = [Shard(name) for name in _spread(asked)]
    else:
        pattern = f"{asked}/*.tar" if Path(asked).is_dir() else asked
        found = [Shard(name) for each in _spread(pattern) for name in sorted(glob(each))]  # noqa: PTH207
    if not found:
        raise DataError(f"{asked} names no shards: give a pattern such as DIR/*.tar, or an address")
    return found if named or not split else held_out(found, split, where)


def held_out(shards: list[Shard], split: str, where: str) -> list[Shard]:
    """Return the shards of a split where names do not say it: the last tenth is held out.

    Raises:
        DataError: When there is one alone, of which nothing can be held out.
    """
    count = max(1, len(shards) // _FRACTION) if len(shards) > 1 else 0
    if split == "test" and not count:
        raise DataError(f"{where} is one shard, and nothing is held out: name others by {{split}}")
    left = len(shards) - count
    return shards[left:] if split == "test" else shards[:left]


@dataclass
class Shards:
    """The samples of shards, each a dict from the endings of its files to their bytes.

    Attributes:
        shards: Where they are.
        cache: The folder for downloads and for metadata of shards; the user's cache folder if
            empty.
        pool: Number of shards read at a time.
        most: Maximum size of the cache, in bytes.

    Raises:
        DataError: When a shard cannot be read, or is not a tar file without compression.
    """

    shards: list[Shard]
    cache: str = ""
    pool: int = POOL
    most: int = CACHED
    _open: OrderedDict[int, tuple[int, list[list[Part]]]] = field(
        default_factory=OrderedDict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        """Count the samples of shards of which that is not known."""
        usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._home = Path(self.cache) if self.cache else usual / "feller" / "shards"
        self.chunks = np.array(self._counts(), dtype=np.int64)
        self._starts = np.cumsum(self.chunks) - self.chunks

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self.chunks.sum())

    def __getitem__(self, indices: list[int]) -> list[dict[str, bytes]]:
        """Return some samples.

        Raises:
            DataError: When a shard has changed, or cannot be read.
        """
        found = []
        for index in indices:
            shard = int(np.searchsorted(self._starts, index, side="right")) - 1
            file, samples = self._opened(shard)
            row = index - int(self._starts[shard])
            if len(samples) != self.chunks[shard]:
                raise DataError(
                    f"{self.shards[shard].name} has {len(samples)} samples, not the "
                    f"{self.chunks[shard]} that are known of it: has it changed?"
                )
            found.append({p.ending: os.pread(file, p.size, p.offset) for p in samples[row]})
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files to the process that has them."""
        return {**self.__dict__, "_open": OrderedDict()}

    def fingerprint(self) -> dict[str, Any]:
        """Return what distinguishes the data: names of shards and counts, without reading them."""
        facts = [
            [Path(shard.name).name, int(n)]
            for shard, n in zip(self.shards, self.chunks, strict=True)
        ]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        return {"items": len(self), "groups": None, "sample": digest}

    def _opened(self, shard: int) -> tuple[int, list[list[Part]]]:
        """Return the file of a shard, open, and where its samples are."""
        if shard in self._open:
            self._open.move_to_end(shard)
            return self._open[shard]
        while len(self._open) >= _OPEN:
            os.close(self._open.popitem(last=False)[1][0])
        name = self.shards[shard].name
        file = self._fetched(name) if is_remote(name) else opened_file(name)
        try:
            self._open[shard] = file, samples_of(file, name)
        except DataError:
            os.close(file)
            raise
        return self._open[shard]

    def _fetched(self, url: str) -> int:
        """Return a shard of the web, open; one process of a host fetches it."""
        file = self._home / f"{_key(url)}.tar"
        what = f"{url} is fetched"
        with alone(self._home, what, name=f".{file.stem}.lock", first=EVERY):
            if not file.is_file():
                download(url, file)
                _make_room(self._home, self.most, file)
            os.utime(file)
            return opened_file(str(file))

    def _counts(self) -> list[int]:
        """Return how many samples each shard has; what was counted once is remembered."""
        unknown = [shard.name for shard in self.shards if shard.samples < 0]
        if not unknown:
            return [shard.samples for shard in self.shards]
        states = [name if is_remote(name) else _state(name) for name in unknown]
        notes = self._home / f"{_key(json.dumps(states))}.json"
        with alone(self._home, "shards are counted"):
            if (counts := _noted(notes, len(unknown))) is None:
                print(f"counting the samples of {len(unknown)} shards, once", file=sys.stderr)
                counts = [
                    len(self._opened(i)[1]) for i, s in enumerate(self.shards) if s.samples < 0
                ]
                write_text(notes, json.dumps(counts))
        counted = iter(counts)
        return [next(counted) if shard.samples < 0 else shard.samples for shard in self.shards]


def _noted(notes: Path, count: int) -> list[int] | None:
    """Return so many numbers of samples that were noted; None where they were not, or are damaged.

    What they say is held against each shard when it is opened.
    """
    try:
        found = read_json(notes)
    except (OSError, ValueError):
        return None
    whole = fits(found, list) and len(found) == count
    return found if whole and all(fits(n, int) and 0 <= n < _MOST for n in found) else None


def _spread(name: str) -> list[str]:
    """Return the names that numbers in braces stand for.

    Example:
        >>> _spread("a{08..10}.tar")
        ['a08.tar', 'a09.tar', 'a10.tar']
    """
    found = re.search(r"\{(\d+)\.\.(\d+)\}", name)
    if not found:
        return [name]
    first, last = found.groups()
    numbers = range(int(first), int(last) + 1)
    each = (f"{name[: found.start()]}{i:0{len(first)}}{name[found.end() :]}" for i in numbers)
    return [whole for part in each for whole in _spread(part)]


def _listed(index: str) -> list[Shard]:
    """Return the shards of an index."""
    try:
        text = read_remote(index) if is_remote(index) else Path(index).read_bytes()
        listed = json.loads(text)["shardlist"]
        found = [Shard(str(each["url"]), each["nsamples"]) for each in listed]
        if odd := [n for _, n in found if not fits(n, int) or not 0 <= n < _MOST]:
            raise ValueError(f"nsamples is {str(odd[0])[:40]!r}")
    except OSError as error:
        raise DataError(f"{index} cannot be read: {error.strerror or error}") from None
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{index} is not an index of shards (shardlist, url, nsamples): {reason}"
        ) from None
    if is_remote(index):
        return [Shard(urljoin(index, name), count) for name, count in found]
    return [
        Shard(name if is_remote(name) else str(Path(index).parent / name), count)
        for name, count in found
    ]


def _state(name: str) -> list[Any]:
    try:
        state = Path(name).stat()
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}") from None
    return [name, state.st_size, state.st_mtime_ns]


def _make_room(home: Path, most: int, newest: Path) -> None:
    """Delete the shards that were used longest ago, until the others are few enough."""
    files = sorted(home.glob("*.tar"), key=lambda file: file.stat().st_mtime)
    total = sum(file.stat().st_size for file in files)
    for file in files:
        if total <= most or file == newest:
            return
        total -= file.stat().st_size
        file.unlink(missing_ok=True)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
