"""What distinguishes sets of training data: how many items, their lengths, and a sample.

Data are no part of a recipe, which names a path at most. So a run keeps the fingerprint of the data
that it began with, and compares.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import singledispatch
from types import MappingProxyType, NoneType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from feller.core.training.config import Dataset

__all__ = ["Fingerprint", "difference", "digest_of", "fingerprint"]

Fingerprint = Mapping[str, Any]
"""What `fingerprint` returns."""

SAMPLE = 64
"""Items that are read, evenly spread, the first and the last among them."""
TWICE = 8
"""Items that are read twice, as data that are drawn at random have no fixed sample."""


_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "groups": "the lengths of items",
        "sample": "the items themselves",
        "content": "the items themselves",  # all of them, where data have a digest of their own
    }
)


def fingerprint(data: Any) -> Fingerprint:
    """Return the number of items, and digests of their groups and of a sample, as JSON takes them.

    Data for which reading a sample is dear have a `fingerprint` of their own. A digest is None
    where there is nothing to compare: items without groups, items drawn at random.

    Example:
        >>> class Numbers:
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, indices):
        ...         return torch.tensor(indices)
        >>> sorted(fingerprint(Numbers()).items())[1]
        ('items', 3)
    """
    if own := getattr(data, "fingerprint", None):
        return own()
    count = len(data)
    positions = sorted(
        set(np.linspace(0, count - 1, min(count, SAMPLE)).round().astype(int).tolist())
    )
    groups = getattr(data, "groups", None)
    with torch.random.fork_rng(devices=[]):
        first = [_read(data, i) for i in positions]
        fixed = first[:TWICE] == [_read(data, i) for i in positions[:TWICE]]
    return {
        "items": count,
        "groups": None if groups is None else digest_of(groups),
        "sample": digest_of(first) if fixed else None,
    }


def difference(now: Fingerprint, before: Fingerprint) -> str:
    """Say how data are others than before, or nothing."""
    if now.get("items") != before.get("items"):
        return f"{now.get('items')} items, not {before.get('items')}"
    for name, what in _PARTS.items():
        pair = now.get(name), before.get(name)
        if None not in pair and pair[0] != pair[1]:
            return f"{what} are others"
    return ""


def _read(data: Dataset, i: int) -> str:
    return digest_of(data[[i]])


def digest_of(value: Any) -> str:
    """Return the digest of a value: tensors, arrays, numbers, texts, and what is made of them."""
    total = hashlib.sha256()
    _add(value, total)
    return total.hexdigest()


@singledispatch
def _add(value: Any, total: Any) -> None:
    """Take a value into a digest: kind and shape, then content."""
    if is_dataclass(value):
        _add(vars(value), total)
        return
    # The address of an object would be another each time.
    total.update(f"{type(value).__qualname__},".encode())


@_add.register(Tensor)
def _(value: Tensor, total: Any) -> None:
    flat = value.detach().cpu().contiguous().reshape(-1)
    total.update(f"{value.dtype} {tuple(value.shape)}:".encode())
    total.update(flat.view(torch.uint8).numpy().tobytes())


@_add.register(np.ndarray)
def _(value: Any, total: Any) -> None:
    if value.dtype == object:
        _add([*value], total)
        return
    total.update(f"{value.dtype} {value.shape}:".encode() + value.tobytes())


@_add.register(Mapping)
def _(value: Mapping[Any, Any], total: Any) -> None:
    for key in sorted(value, key=str):
        total.update(f"{key}:".encode())
        _add(value[key], total)


@_add.register(list)
@_add.register(tuple)
def _(value: Any, total: Any) -> None:
    total.update(f"{len(value)} of:".encode())
    for item in value:
        _add(item, total)


@_add.register(str)
@_add.register(bytes)
@_add.register(int)
@_add.register(float)
@_add.register(NoneType)
def _(value: Any, total: Any) -> None:
    total.update(f"{value!r},".encode())
