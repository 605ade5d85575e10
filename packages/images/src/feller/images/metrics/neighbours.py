"""How true and how various images are, by nearest neighbours of features.

Around each feature is the ball that reaches to its k-th nearest neighbour in its own set. A set's
balls together are where its distribution is.

- Precision: the fraction of samples in a ball of a real image. Recall: the other way round.
- Density: in how many balls of real images a sample is, over k; 1 where both sets are alike.
- Coverage: the fraction of real images in whose ball a sample is.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feller.core.intervals import Estimate, mean_estimate, wilson_interval

__all__ = ["Neighbours", "neighbours"]

Features = Float[Tensor, "n d"]
ROWS = 1000  # of the table of distances at once
EXACT = "donot_use_mm_for_euclid_dist"  # a copy is at distance 0


class Neighbours(NamedTuple):
    """How true and how various a set is."""

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def neighbours(samples: Features, real: Float[Tensor, "m d"], *, k: int = 5) -> Neighbours:
    """Return precision, recall, density and coverage, each with the interval of its mean.

    They depend on how many images there are: figures are compared at one n, of both sets. The
    intervals take the balls as given.

    Source: Kynkäänniemi et al., arXiv 1904.06991 (precision, recall); Naeem et al., arXiv
    2002.09797 (density, coverage).

    Args:
        samples: Features of generated images.
        real: Features of real ones.
        k: Which neighbour a ball reaches to.

    Raises:
        ValueError: When a set has no more than `k`.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> real, same = torch.randn(2, 500, 4, generator=rng)
        >>> narrow = neighbours(0.2 * same, real)
        >>> narrow.precision.value > 0.95, narrow.recall.value < 0.1
        (True, True)
    """
    if not 1 <= k < min(len(samples), len(real)):
        raise ValueError(f"k is from 1 to below {min(len(samples), len(real))} images, not {k}")
    x, y = samples.double(), real.double()
    inside = _inside(x, y, _radii(y, k))  # sample i is in the ball of real image j
    around = _inside(y, x, _radii(x, k))
    precision, recall, coverage = inside.any(1), around.any(1), inside.any(0)
    density = mean_estimate((inside.sum(1).double() / k).tolist())
    return Neighbours(_fraction(precision), _fraction(recall), density, _fraction(coverage))


def _inside(
    x: Features, y: Float[Tensor, "m d"], radii: Float[Tensor, " m"]
) -> Bool[Tensor, "n m"]:
    return torch.cat([torch.cdist(part, y, compute_mode=EXACT) <= radii for part in x.split(ROWS)])


def _radii(y: Float[Tensor, "m d"], k: int) -> Float[Tensor, " m"]:
    """Return the distance to the k-th nearest of the others."""
    parts = (torch.cdist(part, y, compute_mode=EXACT) for part in y.split(ROWS))
    return torch.cat([part.kthvalue(k + 1, 1).values for part in parts])


def _fraction(hits: Bool[Tensor, " n"]) -> Estimate:
    return wilson_interval(int(hits.sum()), len(hits))
