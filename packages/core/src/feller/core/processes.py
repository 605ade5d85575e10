"""Work that several processes share, as `accelerate launch -m feller.core sample ...` starts them.

Inside `together()`, `shared(work, f)` yields f of each piece of work in order, in every process;
each does its own, one of every so many. A piece is the same whoever does it, where its randomness
is its own, so what comes is that of one process, seed for seed. Outside, and in one process, it is
a loop.
"""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["is_first", "shared", "together"]

A = TypeVar("A")
B = TypeVar("B")

_LONG = timedelta(days=365)
_SHARING: ContextVar[bool] = ContextVar("sharing", default=False)


def is_first() -> bool:
    """Return whether this process writes and prints: the only one, or the first of a group.

    Example:
        >>> is_first()
        True
    """
    return not _SHARING.get() or _rank() == 0


@contextmanager
def together() -> Iterator[None]:
    """Share work with the other processes of the group, if there is one; the first alone prints.

    Processes of a host take an accelerator each.

    Example:
        >>> with together():
        ...     print(list(shared([1, 2], lambda number: 10 * number)))
        [10, 20]
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", timeout=_LONG)  # one may have more to do than another
    if torch.accelerator.is_available():
        local = int(os.environ.get("LOCAL_RANK", "0"))
        torch.accelerator.set_device_index(local % torch.accelerator.device_count())
    token = _SHARING.set(True)
    try:
        with ExitStack() as quiet:
            if _rank():
                nowhere = quiet.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
                quiet.enter_context(redirect_stdout(nowhere))
                quiet.enter_context(redirect_stderr(nowhere))
            yield
            dist.barrier()
    finally:
        _SHARING.reset(token)
        dist.destroy_process_group()


def shared(work: Sequence[A], f: Callable[[A], B]) -> Iterator[B]:
    """Yield f of each piece of work, in order; see above.

    Raises:
        ValueError: When a piece fails in another process, with its message.

    Example:
        >>> list(shared(["a", "b"], str.upper))
        ['A', 'B']
    """
    if not _SHARING.get():
        yield from map(f, work)
        return
    import torch.distributed as dist

    world = dist.get_world_size()
    for first in range(0, len(work), world):
        said, mine = "", b""
        if (i := first + _rank()) < len(work):
            try:
                mine = _packed(f(work[i]))
            except (ValueError, OSError, LookupError) as error:
                said = str(error) or type(error).__name__
        found: list[Any] = [None] * world
        dist.all_gather_object(found, (said, mine))
        if failed := next((message for message, _ in found if message), ""):
            raise ValueError(failed)
        yield from (_unpacked(data) for _, data in found[: len(work) - first])


def _rank() -> int:
    import torch.distributed as dist

    return dist.get_rank()


def _packed(value: Any) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def _unpacked(data: bytes) -> Any:
    """Return what another process of this group sent, on the accelerator of this one."""
    import torch

    def here(storage: Any, place: str) -> Any:
        kind = place.split(":")[0]
        return storage if kind == "cpu" else storage.to(torch.device(kind))

    # It comes from a process of the same command: there is nothing to distrust.
    return torch.load(io.BytesIO(data), map_location=here, weights_only=False)
