r"""How far one distribution is from another, both known by counts.

Each chain has a row of counts over bins. Rows add up to the counts of a set of chains, and so does
every resample of them.

- Jensen-Shannon, in nats, at most log 2, and Kullback-Leibler of samples against a reference, in
  nats, both of bins to which a little is added: p_k = (count_k + a) / (total + a bins).
- Wasserstein-1 of a distance, in its own unit: the area between the two distribution functions.

Two samples of one distribution diverge too, the more so the fewer chains they are. So a figure
stands beside its **baseline**: what as many chains of the reference have against the rest of it.
The interval of a divergence is its value -+ 1.96 standard deviations of its resamples, which
themselves lie higher.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float

from feller.core.intervals import QUANTILE
from feller.proteins.metrics.estimates import Estimate, resamples

__all__ = [
    "Divergence",
    "baseline",
    "compare",
    "jensen_shannon",
    "kullback_leibler",
    "wasserstein",
]

Counts = Float[np.ndarray, "*#batch k"]
Numbers = Float[np.ndarray, "*batch"]
Divergence = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Counts of samples and of a reference -> how far they are from it."""

ADDED = 0.5
DRAWS = 100


def jensen_shannon(ours: Counts, reference: Counts, added: float = ADDED) -> Numbers:
    """Return KL(p, m) / 2 + KL(q, m) / 2 with m = (p + q) / 2, in nats.

    Source: Lin, IEEE Trans. Inf. Theory 37 (1991).

    Example:
        >>> one, other = np.array([1e9, 0]), np.array([0, 1e9])
        >>> float(jensen_shannon(one, one)), round(float(jensen_shannon(one, other)), 4)
        (0.0, 0.6931)
    """
    p, q = _smooth(ours, added), _smooth(reference, added)
    middle = (p + q) / 2
    return np.asarray(_relative(p, middle) / 2 + _relative(q, middle) / 2)


def kullback_leibler(ours: Counts, reference: Counts, added: float = ADDED) -> Numbers:
    """Return sum_k p_k log(p_k / q_k), p of the samples and q of the reference, in nats."""
    return _relative(_smooth(ours, added), _smooth(reference, added))


def wasserstein(ours: Counts, reference: Counts, width: float = 1.0) -> Numbers:
    """Return the Wasserstein-1 distance of distributions on even bins, at most a bin from exact.

    Example:
        >>> float(wasserstein(np.array([2.0, 0, 0]), np.array([0, 0, 1.0]), width=0.5))
        1.0
    """
    gap = np.cumsum(_smooth(ours, 0.0), -1) - np.cumsum(_smooth(reference, 0.0), -1)
    return np.asarray(width * np.abs(gap).sum(-1))


def compare(
    ours: Float[np.ndarray, "n k"],
    reference: Float[np.ndarray, "m k"],
    divergence: Divergence,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Return the divergence of some chains from a reference; None where either counts nothing.

    Args:
        ours: What each chain counts.
        reference: What each chain of the reference counts; only the first are resampled.
        divergence: Which one.
        draws: Resamples.
        seed: Chooses them.
    """
    total, usual = ours.sum(0), reference.sum(0)
    if total.sum() == 0 or usual.sum() == 0:
        return Estimate(None)
    value = float(divergence(total, usual))
    drawn = resamples(len(ours), draws, seed) @ ours
    drawn = drawn[drawn.sum(-1) > 0]
    if len(ours) < 2 or len(drawn) < 2:
        return Estimate(value)
    error = QUANTILE * float(divergence(drawn, usual).std(ddof=1))
    return Estimate(value, max(0.0, value - error), value + error)


def baseline(
    reference: Float[np.ndarray, "m k"],
    n: int,
    divergence: Divergence,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Return what n chains of the reference have against its others: the mean, and 95% of draws.

    At most half of the reference is taken; None where it is of one chain, or counts nothing.
    """
    m = len(reference)
    taken = min(n, m // 2)
    if taken < 1:
        return Estimate(None)
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(m), (draws, 1)), axis=1)
    drawn = (order < taken).astype(np.float64) @ reference
    others = reference.sum(0) - drawn
    counted = (drawn.sum(-1) > 0) & (others.sum(-1) > 0)
    if not counted.any():
        return Estimate(None)
    values = divergence(drawn[counted], others[counted])
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high))


def per_width(width: float) -> Divergence:
    """Return the Wasserstein-1 distance on bins of a width.

    Example:
        >>> float(per_width(2.0)(np.array([1.0, 0]), np.array([0, 1.0])))
        2.0
    """
    return partial(wasserstein, width=width)


def _smooth(counts: Counts, added: float) -> Counts:
    more = counts + added
    return more / more.sum(-1, keepdims=True)


def _relative(p: Counts, q: Counts) -> Numbers:
    terms = np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0) / q), 0.0)
    return np.asarray(terms.sum(-1))
