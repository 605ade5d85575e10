"""How far one set of images is from another.

Images are uint8 `(n, h, w, c)`, or their features phi `(n, d)` by a classifier.

- Kernel distance (KID): the squared maximum mean discrepancy of phi under the kernel
  k(x, y) = (x . y / d + 1)^3, without bias, so that two samples of one distribution have
  distance 0 in expectation.
- Nearest-neighbour ratio: how far images are from the training set, over how far test images are.
"""

import math
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from feller.core.intervals import QUANTILE, Estimate

__all__ = [
    "kernel_distance",
    "nearest_distances",
    "nearest_neighbour_ratio",
]

Images = UInt8[Tensor, "n h w c"]
Features = Float[Tensor, "n d"]
ROWS = 500  # of the kernel matrix at once: 40 MB against 10,000 images


class Dealt(NamedTuple):
    """Features that were dealt to blocks.

    Attributes:
        features: In double precision.
        held: Which rows each block holds: a column of 0 and 1 for each.
    """

    features: Float[Tensor, "n d"]
    held: Float[Tensor, "n blocks"]


def kernel_distance(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], *, blocks: int = 50
) -> Estimate:
    """Return the kernel distance (KID) of two sets of features, with its jackknife interval.

    The estimate is mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean k(a_i, b_j), in
    double precision; it can be negative. Each set is dealt at random to as many blocks, and the
    interval comes from the estimates without one block of either. Where the distributions are equal
    it is too wide rather than too narrow; for a few hundred images of different distributions it
    covers about nine times in ten.

    Images are assumed independent. A set with equally many of each class is not: it makes
    the estimate too low, by some 7 / n where features are standardised and classes far apart.

    Source: Binkowski et al., arXiv 1801.01401, section 4; the jackknife, Efron and Stein, Ann.
    Stat. 9 (1981).

    Args:
        a: The features of one set.
        b: The features of the other.
        blocks: Into how many blocks to deal each set; at most half of the smaller one is used.

    Raises:
        ValueError: When a set has fewer than four.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> a, b, c = torch.randn(3, 400, 8, generator=rng)
        >>> alike, shifted = kernel_distance(a, b), kernel_distance(a, c + 1)
        >>> alike.low < 0 < alike.high < shifted.low
        True
    """
    blocks = min(blocks, len(a) // 2, len(b) // 2)
    if blocks < 2:
        raise ValueError(f"a kernel distance needs 4 images a set, not {len(a)} and {len(b)}")
    dealt_a, dealt_b = _deal(a, blocks, seed=0), _deal(b, blocks, seed=1)
    within = _means(dealt_a, dealt_a) + _means(dealt_b, dealt_b)
    means = within - 2 * _means(dealt_a, dealt_b)
    value, without = float(means[-1]), means[:-1]
    error = math.sqrt((blocks - 1) * float(without.var(correction=0)))
    return Estimate(value, value - QUANTILE * error, value + QUANTILE * error)


def nearest_distances(
    images: Images, pool: UInt8[Tensor, "m h w c"], *, rank: int = 1, chunk: int = 2_000
) -> Float[Tensor, " n"]:
    """Return how far each image is from the nearest one of a pool.

    Args:
        images: The images.
        pool: Those among which it is sought.
        rank: 2 for the second nearest, where the images are of the pool themselves.
        chunk: Images compared at once.

    Returns:
        Euclidean distances of pixels that run from 0 to 1; exact, and 0 for a copy.

    Example:
        >>> pool = torch.tensor([0, 100, 255], dtype=torch.uint8).reshape(3, 1, 1, 1)
        >>> (255 * nearest_distances(pool[:2] + 10, pool)).round()
        tensor([10., 10.], dtype=torch.float64)
    """
    return torch.cat([_nearest(part, pool, rank, chunk) for part in images.split(chunk)])


def nearest_neighbour_ratio(
    images: Images,
    train: UInt8[Tensor, "m h w c"],
    test: UInt8[Tensor, "k h w c"],
    *,
    held_out: bool = True,
) -> Estimate:
    """Return the mean distance of images to the training set over that of test images.

    Copies of training images have ratio 0, new images of the same distribution 1. Blur also
    lowers it: read it beside the kernel distance. The interval assumes that the two means are
    independent and normal.

    Args:
        images: The images.
        train: All training images.
        test: Test images.
        held_out: Whether they are not training images. If they are, the nearest of each is sought
            among the others.

    Raises:
        ValueError: When all test images are in the training set, or there are not two of a kind.

    Example:
        >>> from feller.images.shapes import draw_shapes
        >>> train, test, new = (torch.from_numpy(draw_shapes(300, 28, s)[0]) for s in (0, 1, 2))
        >>> nearest_neighbour_ratio(train[:50], train, test).value
        0.0
        >>> ratio = nearest_neighbour_ratio(new, train, test)
        >>> ratio.low < 1 < ratio.high
        True
    """
    if min(len(images), len(test)) < 2:
        raise ValueError("an interval needs two images, and two test images")
    near = nearest_distances(images, train)
    usual = nearest_distances(test, train, rank=1 if held_out else 2)
    if usual.mean() == 0:
        raise ValueError("every test image is a training image too: nothing to compare with")
    ratio = float(near.mean() / usual.mean())
    variances = [float(d.var() / len(d) / usual.mean() ** 2) for d in (near, usual)]
    error = QUANTILE * math.sqrt(variances[0] + ratio**2 * variances[1])
    return Estimate(ratio, ratio - error, ratio + error)


def _deal(features: Features, blocks: int, *, seed: int) -> Dealt:
    """Deal features to blocks.

    At random, since images often come sorted by class; not alike for both sets, since both may be.
    """
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    held = torch.nn.functional.one_hot(order % blocks, blocks)
    return Dealt(features.double(), held.to(features.device, torch.float64))


def _means(a: Dealt, b: Dealt) -> Float[Tensor, " estimates"]:
    """Return the mean of k over pairs of different items: without each block, then over all."""
    x, held_x = a
    y, held_y = b
    rows = zip(x.split(ROWS), held_x.split(ROWS), strict=True)
    sums = torch.stack([held.T @ (_kernel(part, y) @ held_y) for part, held in rows]).sum(0)
    sizes = held_x.sum(0).outer(held_y.sum(0))
    if a is b:
        same = ((x * x).mean(-1) + 1).pow(3)
        sums, sizes = sums - (same @ held_x).diag(), sizes - held_x.sum(0).diag()
    return _leave_out(sums) / _leave_out(sizes)


def _leave_out(table: Float[Tensor, "blocks blocks"]) -> Float[Tensor, " blocks+1"]:
    """Return the sums of a table without row and column i, for each i, and then of all of it."""
    total = table.sum()
    without = total - table.sum(0) - table.sum(1) + table.diag()
    return torch.cat([without, total[None]])


def _kernel(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    return (x @ y.T / x.shape[-1] + 1).pow(3)


def _nearest(
    images: Images, pool: UInt8[Tensor, "m h w c"], rank: int, chunk: int
) -> Float[Tensor, " n"]:
    """Find the nearest by |y|^2 - 2 x . y in single precision, then measure it exactly."""
    x = _flat(images)
    scores, indices = [], []
    for start, part in zip(range(0, len(pool), chunk), pool.split(chunk), strict=True):
        y = _flat(part)
        score = torch.addmm(y.square().sum(-1), x, y.T, alpha=-2)
        least, index = score.topk(min(rank, len(part)), largest=False)
        scores.append(least)
        indices.append(index + start)
    best = torch.cat(scores, -1).topk(rank, largest=False).indices
    nearest = pool[torch.cat(indices, -1).gather(-1, best)]
    y = rearrange(nearest, "n k h w c -> n k (h w c)").float() / 255
    return (x[:, None].double() - y.double()).norm(dim=-1).sort(-1).values[:, rank - 1]


def _flat(images: Images) -> Features:
    return rearrange(images, "n h w c -> n (h w c)").float() / 255
