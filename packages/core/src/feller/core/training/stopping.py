"""Ends that are asked for: a signal, or time that is up, ends a run after the current step.

Its state is saved.

SIGINT is Ctrl-C, SIGTERM what Kubernetes and `timeout` send, SIGHUP a terminal that closed, SIGUSR1
what Slurm sends ahead of a limit (`--signal=USR1@60`). One that is ignored, as SIGHUP is under
`nohup`, stays ignored.
"""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator

__all__ = ["TIME_UP", "Stop", "Stopped", "stop_on_signal", "stopped_by"]

TIME_UP = 128
"""What `stopped_by` returns when the time of a session is up: no signal has this number."""

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
    """What asks this process to stop.

    Attributes:
        number: The signal that did; 0 before.
        until: When its time is up, by `time.monotonic`.
    """

    number: int = 0
    until: float = math.inf

    def asked(self) -> int:
        """Return the signal, or `TIME_UP`; 0 to go on."""
        return self.number or (TIME_UP if time.monotonic() >= self.until else 0)


@contextmanager
def stop_on_signal(until: float = math.inf) -> Iterator[Stop]:
    """Note the first signal, for the loop to end after the current step; the second ends it now.

    Args:
        until: When time is up, by `time.monotonic`.
    """
    stop = Stop(until=until)

    def ask(number: int, frame: Any) -> None:
        if stop.number:
            raise Stopped(number)
        stop.number = number

    caught = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    try:
        before = {number: signal.signal(number, ask) for number in caught}
    except ValueError:  # not the main thread: leave signals alone
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped_by(stop: Stop, step: int, accelerator: Accelerator) -> int:
    """Return what any process was asked to stop by, or 0; several agree at step 10k."""
    if accelerator.num_processes == 1:
        return stop.asked()
    if step % 10:
        return 0
    asked = torch.tensor([stop.asked()], device=accelerator.device)
    return int(accelerator.gather(asked).max())  # pyright: ignore[reportAttributeAccessIssue]
