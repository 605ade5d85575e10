"""Fréchet distance (FID): how far Gaussians fitted to two sets of features are from each other.

With means mu and covariances C of features phi, FID = |mu_a - mu_b|^2 + tr(C_a + C_b
- 2 (C_a C_b)^1/2), the squared 2-Wasserstein distance of the Gaussians. Its estimate is too high by
about a constant over n, so that figures of another n are other figures; two samples of real images
of the same n have the part that is bias. Extrapolated to infinitely many images, it has none.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.intervals import QUANTILE, Estimate

__all__ = ["frechet_distance", "frechet_estimate", "images_needed", "unbiased_frechet"]

Features = Float[Tensor, "n d"]
PARTS = 3  # into so many parts at most a set is dealt, to see how the distance grows with few


class Moments(NamedTuple):
    """Sums over a set of features, so that a block can be taken out.

    Attributes:
        size: How many.
        total: Their sum.
        square: The sum of their outer products.
    """

    size: int
    total: Float[Tensor, " d"]
    square: Float[Tensor, "d d"]

    @property
    def mean(self) -> Float[Tensor, " d"]:
        """The mean."""
        return self.total / self.size

    def covariance(self) -> Float[Tensor, "d d"]:
        """Return the covariance, over size - 1."""
        outer = self.size * self.mean.outer(self.mean)
        return (self.square - outer) / (self.size - 1)

    def without(self, part: Features) -> "Moments":
        """Return the sums without a part."""
        return Moments(self.size - len(part), self.total - part.sum(0), self.square - part.T @ part)


def frechet_distance(a: Features, b: Float[Tensor, "m d"]) -> float:
    """Return the Fréchet distance (FID) of two sets of features, in double precision.

    Source: Heusel et al., arXiv 1706.08500.

    Raises:
        ValueError: When a set has fewer than two.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> a = torch.randn(1000, 4, generator=rng)
        >>> round(frechet_distance(a, a + 3), 6)  # 3^2 in each of 4 coordinates
        36.0
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a Fréchet distance needs 2 images a set, not {len(a)} and {len(b)}")
    x, y = map(_sums, _centred(a, b))
    return _distance(x, y, _root(y.covariance()))


def frechet_estimate(a: Features, b: Float[Tensor, "m d"], *, blocks: int = 20) -> Estimate:
    """Return the Fréchet distance with its interval: a jackknife over blocks of either set.

    The interval is of the figure at these numbers of images, whose bias it does not know.

    Source: Efron and Stein, Ann. Stat. 9 (1981), for the jackknife.

    Args:
        a: The features of one set.
        b: The features of the other.
        blocks: Into how many blocks to deal each set, at random.

    Raises:
        ValueError: When a set has fewer than four.
    """
    blocks = min(blocks, len(a) // 2, len(b) // 2)
    if blocks < 2:
        raise ValueError(f"a Fréchet distance needs 4 images a set, not {len(a)} and {len(b)}")
    a, b = _centred(a, b)
    x, y = _sums(a), _sums(b)
    roots = _root(x.covariance()), _root(y.covariance())
    value = _distance(x, y, roots[1])
    # Either set loses blocks while the other, and the root of its covariance, is whole.
    left = [_distance(x.without(part), y, roots[1]) for part in _dealt(a, blocks, 0)]
    right = [_distance(y.without(part), x, roots[0]) for part in _dealt(b, blocks, 1)]
    variance = _variance(left) + _variance(right)
    error = QUANTILE * math.sqrt((blocks - 1) * variance)
    return Estimate(value, value - error, value + error)


def images_needed(features: int) -> int:
    """Return how many images a set has at least for its bias to be a constant over n.

    Example:
        >>> images_needed(100)
        303
    """
    return PARTS * max(features + 1, 4)


def unbiased_frechet(a: Features, b: Float[Tensor, "m d"], *, halves: int = 30) -> Estimate:
    """Return the Fréchet distance at infinitely many images of either set (FID infinity).

    Both sets are dealt to k parts each, k = 1, 2, 3: the mean distance of these grows with k by its
    bias, a constant over n, and the line through the three is read at k = 0. The interval is that
    of the same figure of random halves of both sets, which vary as the whole does.

    Source: Chong and Forsyth, arXiv 1911.07023, where only the samples are extrapolated, so that
    the bias of the reference stays; Politis and Romano, Ann. Stat. 22 (1994), for the halves.

    Args:
        a: The features of one set.
        b: The features of the other.
        halves: How many random halves the interval comes from.

    Raises:
        ValueError: When a set has fewer than `images_needed`.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> a, b = torch.randn(2, 400, 40, generator=rng)
        >>> biased, found = frechet_distance(a, b), unbiased_frechet(a, b)
        >>> biased > found.high, found.low < 0 < found.high
        (True, True)
    """
    if min(len(a), len(b)) < (least := images_needed(a.shape[1])):
        raise ValueError(
            f"a Fréchet distance of {a.shape[1]} features is extrapolated from at least {least} "
            f"images a set, not {len(a)} and {len(b)}"
        )
    a, b = _centred(a, b)
    value = _extrapolated(a, b, seed=0)
    found = [
        _extrapolated(_dealt(a, 2, 2 * seed)[0], _dealt(b, 2, 2 * seed + 1)[0], seed)
        for seed in range(1, halves + 1)
    ]
    error = QUANTILE * math.sqrt(_variance(found) * halves / (halves - 1))
    return Estimate(value, value - error, value + error)


def _extrapolated(a: Features, b: Float[Tensor, "m d"], seed: int) -> float:
    """Return the intercept of the line through the mean distances of 1, 2 and 3 parts."""
    means = []
    for k in range(1, PARTS + 1):
        pairs = zip(_dealt(a, k, seed), _dealt(b, k, seed + 1), strict=True)
        means.append(sum(frechet_distance(x, y) for x, y in pairs) / k)
    middle, average = (PARTS + 1) / 2, sum(means) / PARTS
    moments = [(k - middle, mean) for k, mean in enumerate(means, 1)]
    slope = sum(step * mean for step, mean in moments) / sum(step**2 for step, _ in moments)
    return average - slope * middle


def _centred(a: Features, b: Float[Tensor, "m d"]) -> tuple[Features, Float[Tensor, "m d"]]:
    """Return both about the mean of `b`, where sums of squares lose no digits."""
    centre = b.double().mean(0)
    return a.double() - centre, b.double() - centre


def _sums(features: Features) -> Moments:
    return Moments(len(features), features.sum(0), features.T @ features)


def _dealt(features: Features, blocks: int, seed: int) -> tuple[Tensor, ...]:
    """Deal features to blocks at random, since images often come sorted by class."""
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    return features[order.to(features.device)].tensor_split(blocks)


def _distance(a: Moments, b: Moments, root: Float[Tensor, "d d"]) -> float:
    """Return the distance, given the root of the covariance of `b`."""
    own = a.covariance()
    inner = root @ own @ root
    eigenvalues = torch.linalg.eigvalsh((inner + inner.T) / 2).clamp(min=0)
    both = own.trace() + b.covariance().trace() - 2 * eigenvalues.sqrt().sum()
    return float((a.mean - b.mean).square().sum() + both)


def _root(covariance: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """Return the symmetric root."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _variance(values: list[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).var(correction=0))
