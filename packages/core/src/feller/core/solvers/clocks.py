"""Grids of times: one clock for all, one for each sample or element, one for each factor."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

__all__ = ["Times", "clocks_of"]

Times = Tensor | Sequence[float] | Mapping[str, Tensor | Sequence[float]] | None
"""A grid of times; on a product space, one for all factors or one for each by name.

None where the solver has times of its own.
"""


def clocks_of(times: Times) -> list[Any]:
    """Return the times as floats where one clock serves all, else as tensors or dicts of both.

    Raises:
        ValueError: When the times are not a grid.

    Example:
        >>> clocks_of([1.0, 0.5, 0.0])
        [1.0, 0.5, 0.0]
    """
    if isinstance(times, Mapping):
        grids = {name: _rising(grid) for name, grid in times.items()}
        if len({len(grid) for grid in grids.values()}) != 1:
            lengths = {name: len(grid) for name, grid in grids.items()}
            raise ValueError(f"the grids of all factors have one length, not {lengths}")
        return [dict(zip(grids, row, strict=True)) for row in zip(*grids.values(), strict=True)]
    if isinstance(times, Tensor) and times.ndim > 1:
        return _rising(times)
    if times is None or isinstance(times, int | float) or getattr(times, "ndim", 1) != 1:
        raise ValueError(f"times are a grid, such as uniform_grid(steps), not {times!r}")
    clocks = [float(t) for t in (times.tolist() if isinstance(times, Tensor) else times)]
    steps = [s - t for t, s in pairwise(clocks)]
    if not steps or not (all(h > 0 for h in steps) or all(h < 0 for h in steps)):
        raise ValueError(
            f"times are at least two and strictly rise, or fall all along, not {clocks[:5]}"
        )
    if min(clocks) < 0 or max(clocks) > 1:
        raise ValueError(f"times lie in [0, 1], not {clocks[0]} ... {clocks[-1]}")
    return clocks


def _rising(times: Tensor | Sequence[float]) -> list[Any]:
    """Return the clocks of samples, elements or a factor, which may stand still."""
    grid = torch.as_tensor(times)
    rise = len(grid) > 1 and bool((grid.diff(dim=0) >= 0).all())
    if not (rise and bool((grid[0] >= 0).all()) and bool((grid[-1] <= 1).all())):
        raise ValueError("times are at least two, rise from step to step and lie in [0, 1]")
    return list(grid)
