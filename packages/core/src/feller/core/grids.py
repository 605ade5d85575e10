"""The grids of times that a simulation follows, from 0 at the source to 1 at the data."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["logarithmic_grid", "power_grid", "shifted_grid", "uniform_grid"]

Grid = Float[Tensor, " times"]


def uniform_grid(steps: int, *, start: float = 0.0, end: float = 1.0) -> Grid:
    """Return `steps + 1` equidistant times.

    Example:
        >>> uniform_grid(4)
        tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    return _grid(torch.linspace(0, 1, _positive(steps) + 1, dtype=torch.float64), start, end)


def shifted_grid(steps: int, shift: float) -> Grid:
    """Return times t / (t + shift (1 - t)): a shift above 1 spends more steps near the source.

    Source: Esser et al., arXiv 2403.03206, equation 23.
    """
    if shift <= 0:
        raise ValueError(f"shift is positive, not {shift}")
    t = torch.linspace(0, 1, _positive(steps) + 1, dtype=torch.float64)
    return _grid(t / (t + shift * (1 - t)), 0.0, 1.0)


def power_grid(steps: int, power: float) -> Grid:
    """Return times 1 - (1 - u)^power of equidistant u: above 1, more steps near the data.

    Example:
        >>> power_grid(4, 2.0)
        tensor([0.0000, 0.4375, 0.7500, 0.9375, 1.0000])
    """
    if power <= 0:
        raise ValueError(f"power is positive, not {power}")
    u = torch.linspace(0, 1, _positive(steps) + 1, dtype=torch.float64)
    return _grid(1 - (1 - u) ** power, 0.0, 1.0)


def logarithmic_grid(steps: int, *, end: float = 0.999) -> Grid:
    """Return times uniform in log(1 - t), from 0 to `end` < 1.

    On the CondOT path each step then shrinks the noise by the same factor, and a jump process jumps
    with the same probability in each step.
    """
    if not 0 < end < 1:
        raise ValueError(f"end is between 0 and 1, both excluded, not {end}")
    t = torch.linspace(0, 1, _positive(steps) + 1, dtype=torch.float64)
    return _grid(-torch.expm1(t * math.log1p(-end)) / end, 0.0, end)


def _grid(unit: Tensor, start: float, end: float) -> Grid:
    if not 0 <= start < end <= 1:
        raise ValueError(f"a grid has 0 <= start < end <= 1, not start {start} and end {end}")
    grid = (start + (end - start) * unit).float()
    if not (grid.diff() > 0).all() or (end < 1 and grid[-1] == 1):
        raise ValueError(
            f"{len(grid) - 1} steps to end = {end} are not apart in single precision: take fewer, "
            "or an end farther from 1"
        )
    return grid


def _positive(steps: int) -> int:
    if steps < 1:
        raise ValueError(f"a grid has at least one step, not {steps}")
    return steps
