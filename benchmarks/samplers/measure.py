"""How far the distribution of samples is from the right one, with an interval.

The total variation is the most by which the probability of any set of data points is wrong. The set
is chosen on a quarter of the samples, the points that come too often there, and its probability is
measured on the others: so exact samples give 0 within the interval, however many points there are,
where the plain sum of differences is always above 0.
"""

from dataclasses import dataclass

import torch
from problems import Problem
from torch import Tensor

from feller.core.intervals import Estimate, wilson_interval

__all__ = ["Distance", "compare", "total_variation"]


@dataclass(frozen=True)
class Distance:
    """What a number of samples say.

    Attributes:
        variation: Total variation of the nearest data points, with its 95% interval.
        gap: Mean distance to the nearest data point; infinite where samples are not finite.
        calls: Network calls a sample.
    """

    variation: Estimate
    gap: float
    calls: int


def total_variation(index: Tensor, weights: Tensor) -> Estimate:
    """Return by how much the probability of the points that come too often is wrong.

    Args:
        index: Which data point each sample is, in random order; k where it is none.
        weights: Their probabilities, `(k,)`.

    Example:
        >>> exact = torch.multinomial(torch.ones(2), 4000, replacement=True)
        >>> total_variation(exact, torch.tensor([0.5, 0.5])).low < 0
        True
    """
    right = torch.cat([weights.double(), torch.zeros(1, dtype=torch.float64)])
    chosen, measured = index[: len(index) // 4], index[len(index) // 4 :]
    often = torch.bincount(chosen, minlength=len(right)) / len(chosen) > right
    estimate = wilson_interval(int(often[measured].sum()), len(measured))
    return Estimate(*(float(number - right[often].sum()) for number in estimate))


def compare(problem: Problem, samples: Tensor) -> Distance:
    """Compare samples with a problem's distribution, and take over how often it was asked."""
    index, gap = problem.read(samples)
    calls, problem.calls = problem.calls, 0
    return Distance(total_variation(index, problem.weights), float(gap.mean()), calls)
