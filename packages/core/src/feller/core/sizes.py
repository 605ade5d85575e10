"""Sizes: how much a configuration asks for is looked at before it is built.

A configuration is a few bytes and may ask for a billion blocks. A build without memory, on the meta
device, stops where its numbers pass a limit.
"""

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from feller.core.errors import OneLineError

__all__ = ["SizeError", "build_within", "memory_limit"]

T = TypeVar("T")

MODULES = 1_000_000
"""Most modules that a model is made of."""

TABLES = 100_000_000
"""Numbers that buffers may hold in any case: tables are not stored, or small."""


class SizeError(OneLineError, ValueError):
    """A configuration asks for more than is allowed."""


def build_within(build: Callable[[], T], limit: int) -> T:
    """Return what a function builds, unless it holds too much.

    Args:
        build: Makes a module, the same each time but for random numbers.
        limit: Most numbers in its parameters.

    Raises:
        SizeError: When it has more.

    Example:
        >>> build_within(lambda: torch.nn.Linear(2, 3), 9)
        Linear(in_features=2, out_features=3, bias=True)
        >>> build_within(lambda: torch.nn.Linear(10**9, 10**9), 10**9)
        Traceback (most recent call last):
        ...
        feller.core.sizes.SizeError: it has more than 1,000,000,000 numbers
    """
    state = torch.get_rng_state()
    try:
        with _counted(limit), torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            build()
    except SizeError:
        raise
    except Exception:
        pass
    torch.set_rng_state(state)
    return build()


def memory_limit() -> int:
    """Return how many numbers in single precision the memory of this machine holds."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    except (AttributeError, OSError, ValueError):  # not on every system
        return 10**12


@contextmanager
def _counted(limit: int) -> Iterator[None]:
    """Count what modules of this thread hold as they are made."""
    count, tables, modules, thread = 0, 0, 0, threading.get_ident()

    def add(*, numbers: int = 0, entries: int = 0, parts: int = 0) -> None:
        nonlocal count, tables, modules
        if threading.get_ident() != thread:
            return
        count, tables, modules = count + numbers, tables + entries, modules + parts
        if count > limit:
            raise SizeError(f"it has more than {limit:,} numbers")
        if tables > max(limit, TABLES):
            raise SizeError(f"its tables have more than {max(limit, TABLES):,} numbers")
        if modules > MODULES:
            raise SizeError(f"it has more than {MODULES:,} parts")

    def size(held: Tensor | None) -> int:
        return 0 if held is None else held.numel()

    handles = [
        register_module_parameter_registration_hook(lambda m, name, p: add(numbers=size(p))),
        register_module_buffer_registration_hook(lambda m, name, b: add(entries=size(b))),
        register_module_module_registration_hook(lambda m, name, sub: add(parts=sub is not None)),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
