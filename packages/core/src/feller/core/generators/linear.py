"""Generators that are linear in one tensor: what they are as vectors is all there is to know.

Their mean is the generator of the mean tensor, a multiple that of the multiple, and they are
compared by a Bregman divergence of the tensors: the linear parametrization of Generator Matching,
arXiv 2410.20587, appendix A.6.
"""

from abc import abstractmethod
from typing import Any

from torch import Tensor

from feller.core.generators.base import Generator
from feller.core.generators.weights import fit_weight
from feller.core.times import expand_time

__all__ = ["LinearGenerator"]


class LinearGenerator(Generator):
    """A generator that is linear in one tensor of the shape of the state, or with axes beyond it.

    Your own kind implements `apply`, `step`, `values` and `with_values`; with a solution in the
    table (`feller.core.solutions.solves`) it adds, multiplies, trains and is simulated.
    """

    @abstractmethod
    def values(self) -> Tensor:
        """Return the tensor, batch first."""

    @abstractmethod
    def with_values(self, values: Tensor) -> "LinearGenerator":
        """Return the generator of another tensor."""

    def average(self, weights: Tensor) -> "LinearGenerator":
        """Return the generator of the mean tensor."""
        values = self.values()
        return self.with_values((expand_time(weights, values) * values).sum(1))

    def scaled(self, weight: float | Tensor) -> "LinearGenerator":
        """Return the generator of a multiple of the tensor."""
        values = self.values()
        return self.with_values(fit_weight(weight, values) * values)

    def compare(self, task: Any) -> Tensor:
        """Return the divergence of the tensors of the conditional generator and of this one."""
        return task.vectors(task.target(type(self)).values(), self.values())
