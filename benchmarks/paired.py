"""Paired timing: contestants take turns in one process, so ratios survive a noisy machine."""

import statistics
import time
from collections.abc import Callable

__all__ = ["compare"]


def compare(
    contestants: dict[str, Callable[[], object]], *, rounds: int, calls: int = 1
) -> dict[str, tuple[float, float]]:
    """Time contestants in turn; the first is the floor.

    Returns:
        For each, the median seconds of a call and the median over rounds of its ratio to the floor.
    """
    for run in contestants.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            for _ in range(calls):
                run()
            times[name].append((time.perf_counter() - start) / calls)
    floor = next(iter(times.values()))
    return {
        name: (
            statistics.median(spent),
            statistics.median(a / b for a, b in zip(spent, floor, strict=True)),
        )
        for name, spent in times.items()
    }


def show(title: str, unit: float, results: dict[str, tuple[float, float]], bar: float) -> None:
    """Print a table, times in units of `unit` seconds."""
    print(f"\n{title} (bar for feller: {bar} x)")
    for name, (seconds, ratio) in results.items():
        print(f"  {name:28} {seconds / unit:10.1f}  {ratio:6.2f} x")
