"""Ends that are asked for: a signal ends a run after the current step, with its state saved.

SIGINT is Ctrl-C, SIGTERM what Kubernetes and `timeout` send, SIGHUP a terminal that closed, SIGUSR1
what Slurm sends ahead of a limit (`--signal=USR1@60`). One that is ignored, as SIGHUP is under
`nohup`, stays ignored.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator

__all__ = ["Stop", "Stopped", "stop_on_signal", "stopped_by"]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal ended the run early.

    Attributes:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


@dataclass
class Stop:
    """The signal that asked this process to stop; 0 before."""

    number: int = 0


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Note the first signal, for the loop to end after the current step; the second ends it now."""
    stop = Stop()

    def ask(number: int, frame: Any) -> None:
        if stop.number:
            raise Stopped(number)
        stop.number = number

    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    try:
        before = {number: signal.signal(number, ask) for number in heeded}
    except ValueError:  # not the main thread: leave signals alone
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped_by(stop: Stop, step: int, accelerator: Accelerator) -> int:
    """Return the signal by which any process was asked to stop, or 0; several agree at step 10k."""
    if accelerator.num_processes == 1:
        return stop.number
    if step % 10:
        return 0
    asked = torch.tensor([stop.number], device=accelerator.device)
    return int(accelerator.gather(asked).max())  # pyright: ignore[reportAttributeAccessIssue]
