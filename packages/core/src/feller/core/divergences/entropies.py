"""Divergences of entropies: for rates, which are at least 0, and for probabilities."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from feller.core.config import tagged
from feller.core.divergences.base import BregmanDivergence, Range, joined

__all__ = ["GeneralizedKL", "ItakuraSaito", "Logistic"]


@tagged("generalized_kl")
@dataclass(frozen=True)
class GeneralizedKL(BregmanDivergence):
    """D(a, b) = a log(a / b) - a + b, from Phi(a) = a log a; homogeneous of degree 1.

    Summed over destinations, it is the rate at which the path measures of two jumps diverge, and so
    the integrand of an evidence bound (Generator Matching, arXiv 2410.20587, appendix D.2). Targets
    of 0 are allowed; a prediction of 0 for a positive target has an infinite divergence.

    Example:
        >>> GeneralizedKL()(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 1.0]))
        tensor([2., 0.])
    """

    domain: ClassVar[Range] = Range(0.0)
    takes_logs: ClassVar[bool] = True

    def potential(self, a: Tensor) -> Tensor:
        """Return a log a."""
        return torch.xlogy(a, a)

    def value(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Return target log(target / predicted) - target + predicted."""
        near = (target - predicted).abs() < predicted / 8
        return joined(near, lambda d, y: d * (d / y), self._value, target, predicted)

    def from_log(
        self, target: Tensor, log_predicted: Tensor, total: Tensor | None = None
    ) -> Tensor:
        """Return the divergence from the logarithm of the prediction, which cannot underflow."""
        log_target = torch.where(target > 0, target, 1).log()
        # A certain zero, predicted for a target of zero, is minus infinity times zero.
        log_ratio = torch.where(target > 0, log_target - log_predicted, 0)
        return target * log_ratio - target + (log_predicted.exp() if total is None else total)

    def _value(self, a: Tensor, b: Tensor) -> Tensor:
        return _entropy(a, a, b) - a + b


@tagged("itakura_saito")
@dataclass(frozen=True)
class ItakuraSaito(BregmanDivergence):
    """D(a, b) = a / b - log(a / b) - 1, from Phi(a) = -log a, Burg's entropy; of degree 0.

    Only ratios count: for positive numbers of all sizes, such as power spectra. A target of 0 is
    infinitely far from anything, so it does not suit jumps, most of whose conditional rates are 0.
    Source: Banerjee et al., Clustering with Bregman Divergences, JMLR 6 (2005), table 1.

    Example:
        >>> ItakuraSaito()(torch.tensor([1.0]), torch.tensor([0.5]))
        tensor([0.3069])
    """

    domain: ClassVar[Range] = Range(0.0, closed=False)

    def potential(self, a: Tensor) -> Tensor:
        """Return -log a."""
        return -a.log()

    def value(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Return target / predicted - log(target / predicted) - 1."""
        near = (target - predicted).abs() < predicted / 8
        return joined(near, lambda d, y: (d / y) ** 2, self._value, target, predicted)

    def _value(self, a: Tensor, b: Tensor) -> Tensor:
        return a / b - (a.log() - b.log()) - 1


@tagged("logistic")
@dataclass(frozen=True)
class Logistic(BregmanDivergence):
    """D(a, b) = a log(a / b) + (1 - a) log((1 - a) / (1 - b)): the relative entropy of two coins.

    Phi(a) = a log a + (1 - a) log(1 - a), the Fermi-Dirac entropy, on [0, 1]: for probabilities,
    each for itself. The table of Banerjee et al. (Clustering with Bregman Divergences, JMLR 6
    (2005), table 1) calls it the logistic loss: it is what log(1 + exp(-y f)) is in the mean
    parameter, and not the divergence of Phi(f) = log(1 + exp(f)), its convex dual.

    Example:
        >>> Logistic()(torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5]))
        tensor([0.6931, 0.6931])
    """

    domain: ClassVar[Range] = Range(0.0, 1.0)

    def potential(self, a: Tensor) -> Tensor:
        """Return a log a + (1 - a) log(1 - a)."""
        return torch.xlogy(a, a) + torch.special.xlog1py(1 - a, -a)

    def value(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Return a log(a / b) + (1 - a) log((1 - a) / (1 - b))."""
        # Heads and tails are alike: of numbers near 1, what is left to 1 has more digits.
        tails = predicted > 0.75
        a = torch.where(tails, 1 - target, target)
        b = torch.where(tails, 1 - predicted, predicted)
        near = (a - b).abs() < torch.minimum(b, 1 - b) / 8
        return joined(near, self._bend, self._value, a, b)

    def _value(self, a: Tensor, b: Tensor) -> Tensor:
        return _entropy(a, a, b) + _entropy(1 - a, -a, -b, shift=1.0)

    def _bend(self, d: Tensor, y: Tensor) -> Tensor:
        return d * (d / y) / (1 - y)


def _entropy(weight: Tensor, a: Tensor, b: Tensor, shift: float = 0.0) -> Tensor:
    """Return weight log((shift + a) / (shift + b)), 0 with a gradient of 0 where the weight is 0.

    Two logarithms, since a ratio overflows before its logarithm does; with a shift of 1 they are
    log1p, which keeps the digits of small numbers.
    """
    log = torch.log1p if shift else torch.log
    safe = 1.0 - shift
    there = weight > 0
    ratio = log(torch.where(there, a, safe)) - log(torch.where(there, b, safe))
    return weight * ratio
