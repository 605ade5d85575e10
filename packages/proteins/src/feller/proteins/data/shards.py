"""Shards: chains laid end to end in a few files, mapped into memory.

A shard holds what one portion of the source gave: atoms as whole steps of 0.01 Angstrom about the
middle of their chain (a longer step only for chains beyond 328 Angstrom from there), residues and
their numbers. What was read at 0.01 Angstrom comes back exactly; else the error is at most 0.005.

A cache is complete when its `index.json` is there, which is written last. Until then each shard
whose own `.json` is there is done, so that a build that was interrupted goes on, and two builds of
one cache write the same files.
"""

import hashlib
import json
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8
from safetensors.numpy import save
from tqdm.auto import tqdm

from feller.core.config import encode
from feller.proteins.data.filters import Filters
from feller.proteins.data.mapped import DataError, map_shard, read_index, read_portion
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.reading import MODELS, Entry, read_entries, sorted_out

__all__ = ["DataError", "Shards", "build_shards", "digest_of", "open_shards"]

FORMAT = 4
PORTION = 1024
"""Structure files of a shard."""
STEP = 0.01
"""Angstrom."""
MISSING = -(2**15)
"""What stands for a coordinate of a missing atom."""


class Shards:
    """The chains of a cache; opened in any process, for it is its folder.

    Args:
        folder: That of a complete cache.

    Raises:
        DataError: When the cache is incomplete or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = read_index(folder / "index.json")
        self.names: tuple[str, ...] = tuple(index["names"])
        """Names of the chains."""
        self.letters: tuple[str, ...] = tuple(index["letters"])
        """Their letters in their files, where they have one."""
        self.counts: dict[str, int] = index["counts"]
        """How many chains were taken, and how many refused for each kind of reason."""
        self._shards = [map_shard(folder / file, size) for file, size in index["shards"]]
        lengths = [np.diff(shard.ends, prepend=0) for shard in self._shards]
        self.lengths: Int64[np.ndarray, " c"] = np.concatenate([np.zeros(0, np.int64), *lengths])
        """Residues of each chain."""
        if not len(self.names) == len(self.lengths) > 0:
            raise DataError(f"{folder} is damaged: delete it to build it again")
        sizes = [len(part) for part in lengths]
        self._shard_of = np.repeat(np.arange(len(sizes)), sizes)
        self._first = np.concatenate([s.ends for s in self._shards]) - self.lengths
        self._steps = np.concatenate([s.steps for s in self._shards])

    def __len__(self) -> int:
        """Return the number of chains."""
        return len(self.names)

    def __getitem__(self, i: int) -> Chain:
        """Return a whole chain."""
        shard, first = self._shards[self._shard_of[i]], self._first[i]
        rows = slice(first, first + self.lengths[i])
        atoms = _positions(shard.atoms[rows], self._steps[i])
        return Chain(self.names[i], atoms, shard.residues[rows], shard.index[rows])

    def __iter__(self) -> Iterator[Chain]:
        """Yield the chains in order."""
        return (self[i] for i in range(len(self)))

    def __reduce__(self) -> tuple[type["Shards"], tuple[Path]]:
        """Go to another process as a folder, so that it maps the files too."""
        return Shards, (self.folder,)

    @property
    def refused(self) -> list[str]:
        """Names of what was not taken; of a structure of several models the first was."""
        try:
            text = (self.folder / "refusals.txt").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        lines = [line.split("\t") for line in text.splitlines()]
        return [name for name, *rest in lines if rest[:1] != [MODELS]]

    def residues(self, i: int) -> UInt8[np.ndarray, " n"]:
        """Return the residues of a chain."""
        first = self._first[i]
        return self._shards[self._shard_of[i]].residues[first : first + self.lengths[i]]

    def rows(
        self, chains: Sequence[int], starts: Sequence[int], length: int
    ) -> tuple[Float32[np.ndarray, "b n 4 3"], UInt8[np.ndarray, "b n"], Int32[np.ndarray, "b n"]]:
        """Return parts of chains, all of one length: atoms, residues and numbers.

        Args:
            chains: Which chains.
            starts: The first residue of each part.
            length: Residues of a part.
        """
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for i, start in zip(chains, starts, strict=True):
            shard, first = self._shards[self._shard_of[i]], self._first[i] + start
            rows = slice(first, first + length)
            parts.append((shard.atoms[rows], shard.residues[rows], shard.index[rows]))
        atoms, residues, index = (np.stack(arrays) for arrays in zip(*parts, strict=True))
        return _positions(atoms, self._steps[list(chains), None, None, None]), residues, index


def open_shards(folder: Path) -> Shards | None:
    """Open a cache, if it is complete.

    Raises:
        DataError: When it is damaged.
    """
    return Shards(folder) if (folder / "index.json").is_file() else None


def digest_of(some: Sequence[Entry], filters: Filters) -> str:
    """Return what distinguishes one cache from another: files, their sizes and times, and filters.

    The names of chains are in the cache, and so those of folders count.

    Args:
        some: The structure files.
        filters: What is taken of them.
    """
    files = sorted({entry.path for entry in some})
    state = [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in files if p.exists()]
    names = [[entry.name, entry.member] for entry in some]
    facts = [FORMAT, PORTION, state, names, encode(filters)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def build_shards(
    some: Sequence[Entry], folder: Path, filters: Filters, *, workers: int = 1
) -> Shards:
    """Read structure files into a cache, or finish what was begun.

    Args:
        some: The structure files.
        folder: That of the cache. `refusals.txt` will say there what was not taken, and why.
        filters: What is taken of them.
        workers: Processes.

    Raises:
        DataError: When nothing is taken, or a process dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    portions = [some[i : i + PORTION] for i in range(0, len(some), PORTION)]
    tasks = [(folder / f"{i:05d}", portion, filters) for i, portion in enumerate(portions)]
    bar = tqdm(total=len(some), desc="reading structures", unit="", mininterval=1.0)
    with bar:
        for done in _run(tasks, workers):
            bar.update(done)
    return _finish(folder, len(portions))


def _run(tasks: list[tuple[Path, Sequence[Entry], Filters]], workers: int) -> Iterator[int]:
    """Do tasks in any order, and yield the number of files of each."""
    if workers < 2:
        for task in tasks:
            yield _build(*task)
        return
    # Not by fork: the threads of this process would be missing in the new ones.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context) as pool:
        futures = [pool.submit(_build, *task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise DataError("a reading process died; the same command resumes from here") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _build(stem: Path, portion: Sequence[Entry], filters: Filters) -> int:
    """Write a shard and what it holds, unless that is done; return the number of files read."""
    facts = stem.with_suffix(".json")
    if facts.is_file():
        return len(portion)
    counts: Counter[str] = Counter()
    taken, refused = sorted_out(filters.sift(read_entries(portion), counts))
    chains = [_framed(chain) for chain in taken]
    data = save(_packed(chains))
    _write(stem.with_suffix(".safetensors"), data)
    refusals = [[r.name, r.kind, r.reason] for r in refused]
    body = {
        "names": [chain.name for chain in chains],
        "letters": [chain.letter for chain in chains],
        "counts": counts,
        "refusals": refusals,
        "size": len(data),
    }
    _write(facts, json.dumps(body).encode())
    return len(portion)


def _framed(chain: Chain) -> Chain:
    """Return the residues that have a frame: one that lacks N, CA or C is a gap."""
    return chain.only(chain.has_frame)


def _packed(chains: list[Chain]) -> dict[str, np.ndarray]:
    """Return the arrays of a shard."""
    atoms, steps = [], []
    for chain in chains:
        # A middle on the grid leaves exact what was on it before.
        middle = np.round(np.nanmean(chain.atoms, axis=(0, 1), dtype=np.float64), 2)
        x = chain.atoms.astype(np.float64) - middle
        step = max(STEP, float(np.nanmax(np.abs(x))) / (2**15 - 1))
        atoms.append(np.where(np.isnan(x), MISSING, np.rint(x / step)).astype(np.int16))
        steps.append(step)
    return {
        "atoms": np.concatenate([np.zeros((0, 4, 3), np.int16), *atoms]),
        "residues": np.concatenate([np.zeros(0, np.uint8), *(c.residues for c in chains)]),
        "index": np.concatenate([np.zeros(0, np.int32), *(c.index for c in chains)]),
        "ends": np.cumsum([len(chain) for chain in chains], dtype=np.int64),
        "steps": np.array(steps, dtype=np.float32),
    }


def _positions(packed: np.ndarray, step: Any) -> np.ndarray:
    """Return positions in Angstrom."""
    atoms = packed * np.float32(step)
    if packed.min(initial=0) == MISSING:
        atoms[packed == MISSING] = np.nan
    return atoms


def _finish(folder: Path, portions: int) -> Shards:
    """Write the index, and open the cache."""
    facts = [read_portion(folder / f"{i:05d}.json") for i in range(portions)]
    counts: Counter[str] = Counter()
    for part in facts:
        counts.update(part["counts"])
    refusals = [refusal for part in facts for refusal in part["refusals"]]
    lines = ("\t".join(refusal) + "\n" for refusal in refusals)
    _write(folder / "refusals.txt", "".join(lines).encode(errors="replace"))
    said = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    if not counts["taken"]:
        name, _, reason = refusals[0]
        raise DataError(f"no chain is fit to learn from ({said}); the first is {name}: {reason}")
    reasons = f"; reasons are in {folder / 'refusals.txt'}" if refusals else ""
    tqdm.write(f"chains: {said}{reasons}", file=sys.stderr)
    index = {
        "counts": counts,
        "shards": [[f"{i:05d}.safetensors", part["size"]] for i, part in enumerate(facts)],
        "names": [name for part in facts for name in part["names"]],
        "letters": [letter for part in facts for letter in part["letters"]],
    }
    _write(folder / "index.json", json.dumps(index).encode())
    return Shards(folder)


def _write(file: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        os.replace(partial, file)  # noqa: PTH105  (atomic, the point of it)
    finally:
        partial.unlink(missing_ok=True)
