"""The files of a cache, mapped into memory and looked at before they are believed.

A shard is a safetensors file: a length, a JSON header, the data. What a header or an index says is
held against the files there are, so that a cache that was damaged is reported as such, and not by
an error of whoever reads it.
"""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from feller.core.errors import DataError
from feller.core.files import read_json

__all__ = ["DataError", "MappedShard", "map_shard", "read_index", "read_portion"]

_KINDS = {"I16": np.int16, "U8": np.uint8, "I32": np.int32, "I64": np.int64, "F32": np.float32}
_ARRAYS = {"atoms": "I16", "residues": "U8", "index": "I32", "ends": "I64", "steps": "F32"}


@dataclass(frozen=True, eq=False)
class MappedShard:
    """Arrays of a mapped file: residues `r` of all its chains, and chains `c`."""

    atoms: np.ndarray
    residues: np.ndarray
    index: np.ndarray
    ends: np.ndarray
    steps: np.ndarray

    def is_sound(self) -> bool:
        """Return whether the arrays fit each other, and chains have residues that there are."""
        r, c = len(self.residues), len(self.ends)
        flat = all(array.ndim == 1 for array in (self.residues, self.index, self.ends, self.steps))
        if not flat or self.atoms.shape != (r, 4, 3):
            return False
        if len(self.index) != r or len(self.steps) != c or (self.ends[-1] if c else 0) != r:
            return False
        lengths = np.diff(self.ends, prepend=0)
        known = self.residues.max(initial=0) <= 20
        steps = np.isfinite(self.steps) & (self.steps > 0)
        return bool((lengths > 0).all() and steps.all() and known)


def map_shard(file: Path, size: int) -> MappedShard:
    """Map a shard.

    Args:
        file: The file.
        size: What it has to have in bytes.

    Raises:
        DataError: When it is not there, or damaged.
    """
    try:
        if file.stat().st_size == size:
            shard = MappedShard(**_arrays(np.memmap(file, dtype=np.uint8, mode="r")))
            if shard.is_sound():
                return shard
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError):
        pass
    raise _damaged(file)


def _arrays(data: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays that a header lists."""
    start = 8 + int(data[:8].view("<u8")[0])
    header = json.loads(data[8:start].tobytes())
    arrays: dict[str, np.ndarray] = {}
    for name, kind in _ARRAYS.items():
        entry = header[name]
        (first, last), shape, dtype = entry["data_offsets"], entry["shape"], _KINDS[kind]
        whole = all(type(number) is int and number >= 0 for number in (first, last, *shape))
        bounds = start + last <= len(data) and last - first == prod(shape) * dtype().itemsize
        if entry["dtype"] != kind or not whole or not bounds:
            raise ValueError(name)
        # A plain array over the map: slices of a `memmap` cost several times as much.
        arrays[name] = np.asarray(data[start + first : start + last]).view(dtype).reshape(shape)
    return arrays


def read_index(file: Path) -> dict[str, Any]:
    """Read the index of a cache.

    Raises:
        DataError: When it is not readable, or not what an index is.
    """
    index = _read(file)
    shards, names, letters = (index.get(name, 0) for name in ("shards", "names", "letters"))
    sound = (
        isinstance(shards, list)
        and all(isinstance(s, list) and list(map(type, s)) == [str, int] for s in shards)
        and all(Path(s[0]).name == s[0] and s[0].isprintable() for s in shards)
        and _are_strings(names)
        and _are_strings(letters)
        and len(names) == len(letters)
        and _are_counts(index.get("counts"))
    )
    if not sound:
        raise _damaged(file)
    return index


def read_portion(file: Path) -> dict[str, Any]:
    """Read what a shard holds.

    Raises:
        DataError: When it is not readable, or not what it should be.
    """
    facts = _read(file)
    refusals = facts.get("refusals")
    sound = (
        _are_strings(facts.get("names"))
        and _are_strings(facts.get("letters"))
        and _are_counts(facts.get("counts"))
        and type(facts.get("size")) is int
        and isinstance(refusals, list)
        and all(_are_strings(refusal) and len(refusal) == 3 for refusal in refusals)
        and sum(facts["counts"].values()) == len(facts["names"]) + len(refusals)
        and facts["counts"].get("taken", 0) == len(facts["names"]) == len(facts["letters"])
    )
    if not sound:
        raise _damaged(file)
    return facts


def _are_strings(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(type(count) is int for count in value.values())


def _read(file: Path) -> dict[str, Any]:
    try:
        found = read_json(file)
    except (OSError, ValueError):
        raise DataError(f"{file} is not readable: delete its folder to build it again") from None
    if not isinstance(found, dict):
        raise _damaged(file)
    return found


def _damaged(file: Path) -> DataError:
    return DataError(f"{file} is damaged: delete its folder to build it again")
