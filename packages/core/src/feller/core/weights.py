"""Weights of models in a sum: numbers, tensors that broadcast against the state, functions of time.

What a user writes is made a `Weight` once; it then says what it is at (x, t).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from feller.core.times import expand_time

__all__ = ["Multiplied", "Weight", "WeightLike", "weight_of"]


class Weight(ABC):
    """A weight."""

    @abstractmethod
    def at(self, x: Any, t: Any) -> float | Tensor:
        """Return the weight at time `t`: a number, or a tensor that broadcasts against `x`.

        Raises:
            ValueError: When it depends on a time, and the factors of a product have their own.
        """

    def is_zero(self) -> bool:
        """Return whether it is 0 at every time, so that its part can be left out."""
        return False


WeightLike = float | Tensor | Callable[[Tensor], Tensor] | Weight
"""A number, a tensor that broadcasts against the state, or a function from times to weights."""


def weight_of(given: WeightLike) -> Weight:
    """Return what a user wrote as a weight.

    Example:
        >>> weight_of(0.5).at(torch.zeros(2, 3), 0.1)
        0.5
        >>> weight_of(lambda t: 1 - t).at(torch.zeros(2, 3), torch.tensor([0.0, 0.5])).shape
        torch.Size([2, 1])
    """
    if isinstance(given, Weight):
        return given
    if callable(given):
        return _OfTime(given)
    return _Field(given) if isinstance(given, Tensor) else _Number(given)


@dataclass(frozen=True)
class Multiplied(Weight):
    """The product of two weights."""

    first: Weight
    second: Weight

    def at(self, x: Any, t: Any) -> float | Tensor:
        """Return the product of both."""
        return self.first.at(x, t) * self.second.at(x, t)

    def is_zero(self) -> bool:
        """Return whether one of them is."""
        return self.first.is_zero() or self.second.is_zero()


@dataclass(frozen=True)
class _Number(Weight):
    number: float

    def at(self, x: Any, t: Any) -> float | Tensor:
        return self.number

    def is_zero(self) -> bool:
        return self.number == 0


@dataclass(frozen=True)
class _Field(Weight):
    values: Tensor

    def at(self, x: Any, t: Any) -> float | Tensor:
        return _against(self.values, x)


@dataclass(frozen=True)
class _OfTime(Weight):
    function: Callable[[Tensor], Tensor]

    def at(self, x: Any, t: Any) -> float | Tensor:
        if isinstance(t, float | int):
            value = torch.as_tensor(self.function(torch.tensor(float(t), device="cpu")))
            return _against(value, x) if value.numel() > 1 else float(value)
        if not isinstance(x, Tensor):
            raise ValueError("a weight that is a function of time takes one clock for all factors")
        return expand_time(self.function(t), x)


def _against(weight: Tensor, x: Any) -> Tensor:
    """Return a weight with all axes of the state: some kinds have fewer, and cut the last ones."""
    missing = getattr(x, "ndim", 0) - weight.ndim  # a dict of factors has no axes
    return weight[(None,) * missing] if weight.ndim and missing > 0 else weight
