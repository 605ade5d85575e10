"""Figures with 95% intervals."""

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["QUANTILE", "Estimate", "mean_estimate", "wilson_interval"]

QUANTILE = 1.959964
"""Of the standard normal distribution, at 97.5%."""


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
    """Return sum(values) / sum(weights), with an interval from how the pairs vary.

    With weights it is the ratio of two sums, such as bits over bytes of documents, and the interval
    is that of the delta method; without, a mean. For one value the interval is the whole line.

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


def wilson_interval(successes: int, trials: int) -> Estimate:
    """Return a fraction with its 95% score interval, which holds near 0 and 1, too.

    Source: Wilson, "Probable inference", J. Am. Stat. Assoc. 22 (1927).

    Raises:
        ValueError: When there is no trial, or more successes than trials.

    Example:
        >>> print(wilson_interval(9, 10))
        0.9 (0.5958 to 0.9821)
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"a fraction needs at least one trial: {successes} of {trials} is none")
    z, fraction = QUANTILE**2 / trials, successes / trials
    middle = (fraction + z / 2) / (1 + z)
    half = math.sqrt(z * fraction * (1 - fraction) + z**2 / 4) / (1 + z)
    return Estimate(fraction, max(middle - half, 0.0), min(middle + half, 1.0))
