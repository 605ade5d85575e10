"""What tells one set of training data from another: how many items, their lengths, and a sample.

Data are no part of a recipe, which names a path at most. So a run keeps the fingerprint of the data
that it began with, and compares.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from feller.core.training.config import Dataset

__all__ = ["Fingerprint", "difference", "fingerprint"]

Fingerprint = Mapping[str, Any]
"""What `fingerprint` returns."""

SAMPLE = 64
"""Items that are read, evenly spread, the first and the last among them."""
TWICE = 8
"""Items that are read twice, as data that are drawn at random have no fixed sample."""


def fingerprint(data: Dataset) -> Fingerprint:
    """Return the number of items, and digests of their groups and of a sample, as JSON takes them.

    A digest is None where there is nothing to tell: items without groups, items drawn at random.

    Example:
        >>> class Numbers:
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, indices):
        ...         return torch.tensor(indices)
        >>> sorted(fingerprint(Numbers()).items())[1]
        ('items', 3)
    """
    count = len(data)
    places = sorted(set(np.linspace(0, count - 1, min(count, SAMPLE)).round().astype(int).tolist()))
    groups = getattr(data, "groups", None)
    with torch.random.fork_rng(devices=[]):
        first = [_read(data, i) for i in places]
        fixed = first[:TWICE] == [_read(data, i) for i in places[:TWICE]]
    return {
        "items": count,
        "groups": None if groups is None else _digest(groups),
        "sample": _digest(first) if fixed else None,
    }


def difference(now: Fingerprint, before: Fingerprint) -> str:
    """Say how data are others than before, or nothing."""
    if now.get("items") != before.get("items"):
        return f"{now.get('items')} items, not {before.get('items')}"
    for name, what in (("groups", "the lengths of items"), ("sample", "the items themselves")):
        pair = now.get(name), before.get(name)
        if None not in pair and pair[0] != pair[1]:
            return f"{what} are others"
    return ""


def _read(data: Dataset, i: int) -> str:
    return _digest(data[[i]])


def _digest(value: Any) -> str:
    total = hashlib.sha256()
    _add(total, value)
    return total.hexdigest()


def _add(total: Any, value: Any) -> None:
    """Take a value into a digest: kind and shape, then content."""
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        total.update(f"{value.dtype} {tuple(value.shape)}:".encode())
        total.update(flat.view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray) and value.dtype != object:
        total.update(f"{value.dtype} {value.shape}:".encode() + value.tobytes())
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            total.update(f"{key}:".encode())
            _add(total, value[key])
    elif isinstance(value, list | tuple | np.ndarray):
        total.update(f"{len(value)} of:".encode())
        for item in value:
            _add(total, item)
    elif is_dataclass(value):
        _add(total, vars(value))
    elif isinstance(value, str | bytes | int | float | None):
        total.update(f"{value!r},".encode())
    else:  # the address of an object would be another each time
        total.update(f"{type(value).__qualname__},".encode())
