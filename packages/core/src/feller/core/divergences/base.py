r"""Bregman divergences :math:`D(a, b) = \Phi(a) - \Phi(b) - \langle a - b, \nabla\Phi(b) \rangle`.

They are the losses for which the conditional objective has the gradient of the marginal one, since
they are affine in the target up to a term without the prediction (Generator Matching, arXiv
2410.20587, proposition 2). The target always comes first: divergences are not symmetric.

Each Phi here is a sum over coordinates, so that the gradient with respect to the prediction is
:math:`-(a - b) \Phi''(b)`. By the definition a divergence of nearly equal numbers is a difference
of numbers that agree in all their digits; there it is taken from
:math:`(a - b)^2 \int_0^1 (1 - s) \Phi''(b + s (a - b)) \, ds`, where nothing cancels.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from feller.core.checks import readable

__all__ = ["REALS", "BregmanDivergence", "Range", "bregman"]

# Gauss-Jacobi nodes and weights for the integral of (1 - s) f(s) over [0, 1].
_NODES = (0.057104196114517725, 0.2768430136381238, 0.5835904323689168, 0.8602401356562195)
_WEIGHTS = (0.13550691343148852, 0.2034645680102711, 0.12984754760823233, 0.031180970950008085)
_MIDDLE = 0.5  # in the domain of every divergence


@dataclass(frozen=True)
class Range:
    """The range of values that a divergence compares.

    Attributes:
        low: The smallest value.
        high: The largest value.
        closed: Whether the finite ends are included.
    """

    low: float = -torch.inf
    high: float = torch.inf
    closed: bool = True

    def __contains__(self, value: float) -> bool:
        """Return whether a number belongs to it."""
        if self.closed:
            return self.low <= value <= self.high
        return self.low < value < self.high

    def __str__(self) -> str:
        """Write it as usual: `[0, inf)`."""
        left = "[" if self.closed and self.low > -torch.inf else "("
        right = "]" if self.closed and self.high < torch.inf else ")"
        return f"{left}{self.low:g}, {self.high:g}{right}"


REALS = Range()


class BregmanDivergence(ABC):
    """A divergence that is a sum over coordinates.

    What is outside the domain is an error where looking costs nothing (`feller.core.checks`); on an
    accelerator, and compiled, its divergence is NaN or infinite, which training refuses.

    Attributes:
        domain: The targets and predictions that it compares.
        takes_logs: Whether it has a `from_log`, which needs no more than the logits at the target.
    """

    domain: Range
    takes_logs: ClassVar[bool] = False

    def from_log(
        self, target: Tensor, log_predicted: Tensor, total: Tensor | None = None
    ) -> Tensor:
        """Return the divergence from the logarithm of the prediction, which cannot underflow.

        Args:
            target: The target.
            log_predicted: The logarithm of the prediction.
            total: The sum of the predictions over coordinates of which all but this one have a
                target of 0; given, the divergence of all of them is returned.

        Raises:
            LookupError: For a divergence that does not take logarithms.
        """
        raise LookupError(f"{type(self).__name__} does not take logarithms: see `takes_logs`")

    @abstractmethod
    def potential(self, a: Tensor) -> Tensor:
        """Return the convex function Phi of each coordinate."""

    @abstractmethod
    def value(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Return D(target, predicted) of each coordinate, in a form that keeps its digits."""

    def __call__(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Return D(target, predicted) of each coordinate.

        Args:
            target: What a conditional generator says.
            predicted: What the model says; it broadcasts against the target.

        Raises:
            ValueError: When a number is outside the domain, on the CPU.
        """
        if self.domain != REALS:
            _check(self, "target", target)
            _check(self, "predicted", predicted)
        return self.value(target, predicted)


def bregman(potential: Callable[[Tensor], Tensor], target: Tensor, predicted: Tensor) -> Tensor:
    """Return the Bregman divergence of any potential, by its definition, per coordinate.

    Example:
        >>> bregman(lambda a: a**2, torch.tensor([3.0]), torch.tensor([1.0]))
        tensor([4.])
    """
    slope = torch.func.jvp(potential, (predicted,), (torch.ones_like(predicted),))[1]
    return potential(target) - potential(predicted) - (target - predicted) * slope


def joined(
    near: Tensor,
    bend: Callable[[Tensor, Tensor], Tensor],
    value: Callable[[Tensor, Tensor], Tensor],
    target: Tensor,
    predicted: Tensor,
) -> Tensor:
    """Return a divergence by the integral of Phi'' where it is near, elsewhere by its closed form.

    Args:
        near: Where target and prediction are so close that Phi'' hardly changes between them, well
            inside the domain.
        bend: The function (d, y) -> d^2 Phi''(y), with d^2 never made where it would underflow.
        value: The closed form, finite with a finite gradient in the whole domain.
        target: The target.
        predicted: The prediction.
    """
    # What is not chosen still has a gradient, zero times it: both forms see harmless numbers there.
    a, b = (torch.where(near, number, _MIDDLE) for number in (target, predicted))
    d = a - b
    close = sum(
        weight * bend(d, b + node * d) for node, weight in zip(_NODES, _WEIGHTS, strict=True)
    )
    return torch.where(near, close, value(target, predicted))


def _check(divergence: BregmanDivergence, name: str, value: Tensor) -> None:
    """Reject numbers outside the domain, where looking at them costs nothing."""
    if not readable(value):
        return
    ends = [float(end) for end in torch.aminmax(value.detach())]
    outside = [end for end in ends if end not in divergence.domain]
    if outside and not math.isnan(outside[0]):  # NaN says itself what it is
        raise ValueError(
            f"{name} of {type(divergence).__name__} is {outside[0]:.4g}: "
            f"it is in {divergence.domain}"
        )
