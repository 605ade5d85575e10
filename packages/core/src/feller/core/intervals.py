"""Figures with 95% intervals."""

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["QUANTILE", "Estimate", "mean_estimate", "share_estimate"]

QUANTILE = 1.959964
"""Of the normal law, at 97.5%."""


class Estimate(NamedTuple):
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the figure with its interval."""
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"


def mean_estimate(
    values: Sequence[float | int], weights: Sequence[float | int] | None = None
) -> Estimate:
    """Return sum(values) / sum(weights), the interval from how the pairs vary.

    With weights it is the ratio of two sums, such as bits over bytes of documents, and the interval
    is that of the delta method; without, a mean. One value has no interval but the whole line.

    Raises:
        ValueError: When there are no values, or the weights do not add up to something.

    Example:
        >>> mean_estimate([1.0, 3.0]).value
        2.0
    """
    n, w = len(values), [1.0] * len(values) if weights is None else list(weights)
    if n == 0 or sum(w) <= 0:
        raise ValueError("there is nothing to take the mean of")
    value = sum(values) / sum(w)
    if n == 1:
        return Estimate(value, -math.inf, math.inf)
    residuals = [v - value * each for v, each in zip(values, w, strict=True)]
    spread = math.sqrt(sum(r * r for r in residuals) * n / (n - 1)) / sum(w)
    return Estimate(value, value - QUANTILE * spread, value + QUANTILE * spread)


def share_estimate(successes: int, trials: int) -> Estimate:
    """Return a share with Wilson's interval, which is right for shares near 0 and 1 too.

    Raises:
        ValueError: When nothing was tried.
    """
    if trials < 1:
        raise ValueError("a share is of at least one trial")
    z, share = QUANTILE**2 / trials, successes / trials
    middle = (share + z / 2) / (1 + z)
    half = QUANTILE * math.sqrt(share * (1 - share) / trials + z / trials / 4) / (1 + z)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))
