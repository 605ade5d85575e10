"""Demands: what a check asks, and the statistics that answer."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

__all__ = ["demand", "demand_close", "fit_p_value", "table_p_value"]

LEAST_P = 1e-3
"""A distribution is refused when samples as odd as these come once in a thousand."""


def demand(holds: bool, complaint: str) -> None:
    """Raise an `AssertionError` with the complaint unless something holds."""
    if not holds:
        raise AssertionError(complaint)


def demand_close(found: Tensor, expected: Tensor, what: str, *, within: float = 1e-6) -> None:
    """Raise unless two tensors of one shape agree, with the largest gap in the message."""
    demand(
        found.shape == expected.shape,
        f"{what} has shape {tuple(found.shape)}, not {tuple(expected.shape)}",
    )
    if not found.numel() or torch.equal(found, expected):
        return
    gap = (found.double() - expected.double()).abs()
    worst = float(torch.nan_to_num(gap, nan=torch.inf).max())
    demand(worst <= within, f"{what} is off by {worst:.3g}, more than {within:.3g}")


def fit_p_value(
    samples: Tensor,
    log_density: Callable[[Tensor], Tensor],
    ends: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """Compare numbers with a density: the p-value of Kolmogorov and Smirnov, and the total mass.

    Args:
        samples: Numbers `(b,)`.
        log_density: From numbers `(k,)` to log densities, summed here over a fine grid.
        ends: The ends of the space, where it has some: beyond there are no numbers to sum over.
    """
    from scipy import stats

    x = samples.double()
    low, high = float(x.min()), float(x.max())
    reach = max(high - low, 1e-6)
    low, high = low - reach, high + reach
    if ends is not None:
        low, high = max(low, ends[0]), min(high, ends[1])
    # The middles of cells: an end of the space is the edge of one.
    cell = (high - low) / 60_000
    grid = low + cell * (torch.arange(60_000, dtype=torch.float64) + 0.5)
    density = torch.nan_to_num(log_density(grid).double(), nan=-torch.inf).exp()
    masses = density * cell
    running = (masses.cumsum(0) - masses / 2).numpy()
    ranks = np.interp(x.numpy(), grid.numpy(), running / running[-1])
    return float(stats.kstest(ranks, "uniform").pvalue), float(masses.sum())


def table_p_value(samples: Tensor, probabilities: Tensor) -> float:
    """Compare tokens `(b,)` with their probabilities `(k,)`: the p-value of a chi-square test.

    Tokens that have no probability must not occur: the p-value is 0 when one does.
    """
    from scipy import stats

    counts = samples.flatten().bincount(minlength=len(probabilities)).double()
    possible = probabilities > 0
    if counts[~possible].any():
        return 0.0
    if possible.sum() == 1:
        return 1.0
    p = probabilities[possible].double()
    expected = p / p.sum() * counts.sum()
    return float(stats.chisquare(counts[possible].numpy(), expected.numpy()).pvalue)
