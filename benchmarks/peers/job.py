"""A job that feller and a peer both do, and how it is timed.

Both take turns in one process, in random order, on one thread; what is measured is the time of the
processor, which other work on the machine does not add to. A ratio is feller's time over the
peer's in the same round, so below 1 feller is faster; its interval holds the median of ratios with
95% probability, from the order of the rounds alone.
"""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import NamedTuple

__all__ = ["Job", "Ratio", "median_interval", "timed"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is compared.

    Attributes:
        part: The group it is shown in.
        name: What is done, with its size.
        package: The peer's package, in whose version it is; empty where feller is alone.
        peer: What of the peer does it.
        ours: Does it with feller.
        theirs: Does it with the peer; None where feller is alone.
        items: How many samples it draws, where it draws any.
        rounds: Rounds.
        clock: What is read before and after, in seconds.
    """

    part: str
    name: str
    package: str = ""
    peer: str = ""
    ours: Callable[[], object]
    theirs: Callable[[], object] | None = None
    items: int = 0
    rounds: int = 15
    clock: Callable[[], float] = time.process_time


class Ratio(NamedTuple):
    """Feller's time over the peer's, with a 95% interval, and the median seconds of both."""

    value: float
    low: float
    high: float
    ours: float
    theirs: float


def timed(job: Job, least: float = 0.02) -> Ratio:
    """Time a job; short ones are repeated to `least` seconds a turn."""
    runs = [job.ours, job.theirs or job.ours]
    repeats = []
    for run in runs:
        start = job.clock()
        run()  # with what is done once
        if job.clock() - start < 10 * least:
            start = job.clock()
            run()
        repeats.append(max(1, round(least / max(job.clock() - start, 1e-6))))
    order = random.Random(0)
    found: list[list[float]] = [[], []]
    for _ in range(job.rounds):
        for i in order.sample([0, 1], 2):
            start = job.clock()
            for _ in range(repeats[i]):
                runs[i]()
            found[i].append((job.clock() - start) / repeats[i])
    ratios = sorted(a / b for a, b in zip(*found, strict=True))
    low, high = median_interval(len(ratios))
    middle = statistics.median(ratios)
    return Ratio(middle, ratios[low], ratios[high], *map(statistics.median, found))


def median_interval(rounds: int, level: float = 0.95) -> tuple[int, int]:
    """Return which of the sorted values hold the median with this probability; all of a few.

    Example:
        >>> median_interval(15)
        (3, 11)
    """
    below = 0.0
    for rank in range(rounds // 2):
        below += comb(rounds, rank) / 2**rounds
        if 2 * below > 1 - level:
            return max(0, rank - 1), rounds - 1 - max(0, rank - 1)
    return 0, rounds - 1
