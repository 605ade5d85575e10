"""Ends that are asked for: a signal, or time that is up, ends a run after the current step.

Its state is saved. A signal to one process of several ends all of them after the same step.

SIGINT is Ctrl-C, SIGTERM what Kubernetes and `timeout` send, SIGHUP a terminal that closed, SIGUSR1
what Slurm sends ahead of a limit (`--signal=USR1@60`). One that is ignored, as SIGHUP is under
`nohup`, stays ignored.
"""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator

__all__ = ["TIME_UP", "Agreement", "Stop", "Stopped", "heed_no_signal", "stop_on_signal"]

TIME_UP = 128
"""What a stop returns when the time of a session is up: no signal has this number."""

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
ECHO = 2.0
"""Seconds in which a signal that comes again is the same, as Ctrl-C does from a launcher too."""
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
        since: When the signal came, by the same.
    """

    number: int = 0
    until: float = math.inf
    since: float = math.inf

    def asked(self) -> int:
        """Return the signal, or `TIME_UP`; 0 to go on."""
        return self.number or (TIME_UP if time.monotonic() >= self.until else 0)


@contextmanager
def stop_on_signal(until: float = math.inf) -> Iterator[Stop]:
    """Note a signal, for the loop to end after the current step; one that follows ends it now.

    Args:
        until: When time is up, by `time.monotonic`.
    """
    stop = Stop(until=until)

    def ask(number: int, frame: Any) -> None:
        if not stop.number:
            stop.number, stop.since = number, time.monotonic()
        elif time.monotonic() - stop.since > ECHO:
            raise Stopped(number)

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


def heed_no_signal(worker: int) -> None:
    """Let the process that trains see to signals, in a process that reads data for it.

    Slurm sends a signal to every process of a job: one that reads data and died of it would end
    the run as a broken one.
    """
    for number in SIGNALS:
        if number != signal.SIGTERM:  # by which torch ends these processes
            signal.signal(number, signal.SIG_IGN)


@dataclass
class Agreement:
    """What several processes agree on after each step, on a channel of its own.

    It is the processors' (gloo): no step of an accelerator is waited for.

    Args:
        accelerator: The group of processes; one process has nothing to agree on.
    """

    accelerator: Accelerator
    _group: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Open the channel."""
        if self.accelerator.num_processes > 1:
            self._group = torch.distributed.new_group(backend="gloo")

    def largest(self, *numbers: int) -> tuple[int, ...]:
        """Return the largest of each number over all processes; every process calls it."""
        if self._group is None:
            return numbers
        agreed = torch.tensor(numbers)
        torch.distributed.all_reduce(agreed, torch.distributed.ReduceOp.MAX, group=self._group)
        return tuple(agreed.tolist())
