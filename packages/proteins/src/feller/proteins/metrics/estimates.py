r"""Figures over chains, and how far chains spread them.

Each chain i counts h_i of n_i: links that are bonds of all links, or its radius of gyration of 1.
The figure is sum_i h_i / sum_i n_i. Residues of a chain are not independent draws, chains are: 95%
intervals are those of the bootstrap over chains.

Source: Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 13.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

__all__ = ["DRAWS", "Estimate", "Tally", "mean_tally", "resamples"]

DRAWS = 1_000
"""Resamples of the chains."""


class Estimate(NamedTuple):
    """A figure with its 95% interval; None where there is nothing to say."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Return the figure with its interval."""
        value = "none" if self.value is None else f"{self.value:.4g}"
        if self.low is None or self.high is None:
            return value
        return f"{value} ({self.low:.4g} to {self.high:.4g})"


@dataclass(frozen=True)
class Tally:
    """What each chain counts towards a fraction or a mean.

    Attributes:
        hits: h_i, for each chain.
        trials: n_i, at least 0.

    Example:
        >>> tally = Tally(np.array([9.0, 10.0]), np.array([10.0, 10.0]))
        >>> print(tally.estimate())
        0.95 (0.9 to 1)
    """

    hits: Float[np.ndarray, " chains"]
    trials: Float[np.ndarray, " chains"]

    @property
    def value(self) -> float | None:
        """The figure; None where nothing was tried."""
        trials = float(self.trials.sum())
        return float(self.hits.sum()) / trials if trials > 0 else None

    def estimate(self, draws: int = DRAWS, seed: int = 0) -> Estimate:
        """Return the figure with the interval between its 2.5% and 97.5% resampled values.

        A fraction that is 0 or 1 in every chain has no width: the interval knows of no other
        chains. One chain has no interval.
        """
        if self.value is None or len(self.hits) < 2:
            return Estimate(self.value)
        weights = resamples(len(self.hits), draws, seed)
        hits, trials = weights @ self.hits, weights @ self.trials
        low, high = np.quantile(hits[trials > 0] / trials[trials > 0], [0.025, 0.975])
        return Estimate(self.value, float(low), float(high))


def mean_tally(values: Sequence[float] | Float[np.ndarray, " chains"]) -> Tally:
    """Return the tally of a mean over chains; those with a value that is not finite are left out.

    Example:
        >>> mean_tally([1.0, 3.0, float("nan")]).value
        2.0
    """
    each = np.asarray(values, dtype=np.float64)
    known = np.isfinite(each)
    return Tally(np.where(known, each, 0.0), known.astype(np.float64))


@lru_cache(maxsize=4)
def resamples(n: int, draws: int, seed: int) -> Int[np.ndarray, "draws n"]:
    """Return how often each of n chains is in each resample of n chains, read-only.

    Example:
        >>> resamples(3, 2, 0).sum(1)
        array([3, 3])
    """
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    weights.setflags(write=False)
    return weights
