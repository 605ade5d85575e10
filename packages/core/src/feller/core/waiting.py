"""Waiting for as long as it takes: for another process that prepares data, of this run or another.

Barriers of torch and accelerate end a run after 10 to 30 minutes, and a large corpus takes hours.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

__all__ = ["alone", "main_first", "saying"]

EVERY = 60.0
"""Seconds between two words about waiting."""
_LONG = timedelta(days=365)


@contextmanager
def main_first(accelerator: Any) -> Iterator[None]:
    """Let the first process of each host go first, such as to download; the others wait for it.

    At the end all wait for all, so that what follows has its usual time.

    Args:
        accelerator: An `accelerate.Accelerator`.

    Example:
        >>> from accelerate import Accelerator
        >>> with main_first(Accelerator(cpu=True)):
        ...     data = [1, 2]
    """
    if accelerator.num_processes == 1:
        yield
        return
    import torch.distributed as dist

    group: Any = dist.new_group(backend="gloo", timeout=_LONG)
    second = accelerator.local_process_index == 1
    try:
        if not accelerator.is_local_main_process:
            with saying("waiting for the first process, which prepares the data", quiet=not second):
                dist.barrier(group)
        yield
        if accelerator.is_local_main_process:
            dist.barrier(group)
        dist.barrier(group)
    finally:
        dist.destroy_process_group(group)


@contextmanager
def alone(folder: Path, what: str, *, name: str = ".lock", first: float = 0.0) -> Iterator[None]:
    """Work on a folder alone: another process that does waits, with a word each minute.

    Args:
        folder: The folder, made if there is none. The lock ends with the process that holds it.
        what: What it waits for, such as `the corpus is cut`.
        name: The name of the lock.
        first: Seconds before the first word.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as home, alone(Path(home), "the corpus is cut"):
        ...     pass
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with saying(f"waiting until {what} by another process ({folder})", first=first):
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def saying(what: str, *, first: float = EVERY, quiet: bool = False) -> Iterator[None]:
    """Say on standard error what is waited for, each minute.

    Args:
        what: What.
        first: Seconds before the first word.
        quiet: Whether to say nothing.

    Example:
        >>> with saying("waiting for a short time"):
        ...     pass
    """
    over, start = threading.Event(), time.monotonic()

    def tell() -> None:
        wait = first
        while not over.wait(wait):
            minutes = (time.monotonic() - start) / 60
            print(f"{what}; {minutes:.0f} minutes so far", file=sys.stderr)
            wait = EVERY

    thread = threading.Thread(target=tell, daemon=True)
    if not quiet:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if not quiet:
            thread.join()
