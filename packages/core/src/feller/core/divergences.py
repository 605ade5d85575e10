r"""Bregman divergences :math:`D(a, b) = \Phi(a) - \Phi(b) - \langle a - b, \nabla\Phi(b) \rangle`.

They are the losses for which the conditional objective has the gradient of the marginal one, since
they are affine in the target up to a term without the prediction (Generator Matching, arXiv
2410.20587, proposition 2). The target always comes first: divergences are not symmetric.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from feller.core.config import tagged

__all__ = ["BregmanDivergence", "GeneralizedKL", "SquaredNorm", "bregman"]


class BregmanDivergence(ABC):
    """A divergence that is a sum over coordinates."""

    @abstractmethod
    def potential(self, a: Tensor) -> Tensor:
        """Return the convex function Phi of each coordinate."""

    @abstractmethod
    def __call__(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Return D(target, predicted) of each coordinate, in a form that keeps its digits."""


def bregman(potential: Callable[[Tensor], Tensor], target: Tensor, predicted: Tensor) -> Tensor:
    """Return the Bregman divergence of any potential, by its definition, per coordinate.

    Example:
        >>> bregman(lambda a: a**2, torch.tensor([3.0]), torch.tensor([1.0]))
        tensor([4.])
    """
    slope = torch.func.jvp(potential, (predicted,), (torch.ones_like(predicted),))[1]
    return potential(target) - potential(predicted) - (target - predicted) * slope


@tagged("squared_norm")
@dataclass(frozen=True)
class SquaredNorm(BregmanDivergence):
    """D(a, b) = (a - b)^2, from Phi(a) = a^2: for velocities, drifts and scores."""

    def potential(self, a: Tensor) -> Tensor:
        """Return a^2."""
        return a**2

    def __call__(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Return (target - predicted)^2."""
        return (target - predicted) ** 2


@tagged("generalized_kl")
@dataclass(frozen=True)
class GeneralizedKL(BregmanDivergence):
    """D(a, b) = a log(a / b) - a + b, from Phi(a) = a log a: for rates and probabilities.

    Summed over destinations, it is the rate at which the path measures of two jumps diverge, and so
    the integrand of an evidence bound (Generator Matching, arXiv 2410.20587, appendix D.2).
    """

    def potential(self, a: Tensor) -> Tensor:
        """Return a log a."""
        return torch.xlogy(a, a)

    def __call__(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Return target log(target / predicted) - target + predicted; targets may be 0."""
        return torch.xlogy(target, target) - torch.xlogy(target, predicted) - target + predicted
