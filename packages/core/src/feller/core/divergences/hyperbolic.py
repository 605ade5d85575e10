"""The hyperbolic cosine, on all real numbers: errors count more where predictions are large."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from feller.core.config import tagged
from feller.core.divergences.base import REALS, BregmanDivergence, Range, joined

__all__ = ["Cosh"]


@tagged("cosh")
@dataclass(frozen=True)
class Cosh(BregmanDivergence):
    r"""The divergence of Phi(a) = cosh a: the gradient is -(a - b) cosh b.

    For targets of order one: in float32 it overflows where :math:`e^{|a|}` does, at 88. Where a and
    b are closer than 1/2 it comes from the integral of Phi'' = cosh, elsewhere from cosh a - cosh b
    - (a - b) sinh b, whose terms then differ enough. Generator Matching, arXiv 2410.20587, names it
    among the losses of flows, without results.

    Example:
        >>> import torch
        >>> Cosh()(torch.tensor([1.0]), torch.tensor([0.0]))
        tensor([0.5431])
    """

    domain: ClassVar[Range] = REALS

    def potential(self, a: Tensor) -> Tensor:
        """Return cosh a."""
        return a.cosh()

    def value(self, target: Tensor, predicted: Tensor) -> Tensor:
        """Return cosh a - cosh b - (a - b) sinh b."""
        near = (target - predicted).abs() < 0.5
        return joined(near, lambda d, y: d * (d * y.cosh()), self._value, target, predicted)

    def _value(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.cosh() - b.cosh()) - (a - b) * b.sinh()
