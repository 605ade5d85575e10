"""Tokens: sequences over a finite vocabulary."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from feller.core.config import tagged
from feller.core.spaces.base import StateSpace

__all__ = ["Tokens"]


@tagged("tokens")
@dataclass(frozen=True)
class Tokens(StateSpace):
    """Integers 0 ... size - 1, with a state in the last `event_dim` axes.

    Attributes:
        size: Number of token values, including the mask token if there is one.
        event_dim: 1 for sequences, 0 for a single token per sample.
    """

    size: int
    event_dim: int = 1
    is_discrete: ClassVar[bool] = True

    def check(self, x: Tensor) -> None:
        """Raise unless `x` holds integers in 0 ... size - 1."""
        if x.is_floating_point() or x.is_complex():
            raise ValueError(f"tokens are integers, not {x.dtype}")
        if x.numel() and not (int(x.min()) >= 0 and int(x.max()) < self.size):
            raise ValueError(
                f"tokens are 0 ... {self.size - 1}, these {int(x.min())} ... {int(x.max())}"
            )
