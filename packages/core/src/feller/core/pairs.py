r"""Pairs (x_0, x_1): the conditioning variable of paths that are pinned at both ends.

The conditioning variable z of a path may be a data point, or a source sample together with one:
:math:`z = (x_0, x_1) \sim \pi`, for any joint distribution whose two marginals are the source and
the data. The marginal generator is still the posterior mean of the conditional ones (Generator
Matching, arXiv 2410.20587, proposition 1), here over pairs.

A pair has the shape of its states, so whatever looks at the shape of data points, or at some of
them, takes pairs as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

__all__ = ["Pair", "PairBatch", "is_pair", "states_of"]


@dataclass(frozen=True)
class Pair:
    """A batch of source samples and data points that belong together, row by row.

    Attributes:
        x_0: Source samples `(b, *event)`.
        x_1: Data points, of the same shape.

    Raises:
        ValueError: When the shapes differ.

    Example:
        >>> pair = Pair(torch.zeros(3, 2), torch.ones(3, 2))
        >>> len(pair), pair[:1].x_1
        (3, tensor([[1., 1.]]))
    """

    x_0: Tensor
    x_1: Tensor

    def __post_init__(self) -> None:
        """Check that both ends have one shape."""
        if self.x_0.shape != self.x_1.shape:
            shapes = f"{tuple(self.x_0.shape)} and {tuple(self.x_1.shape)}"
            raise ValueError(f"both ends of a pair have one shape, not {shapes}")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.x_1)

    def __getitem__(self, index: Any) -> "Pair":
        """Index both ends alike."""
        return self.map(lambda x: x[index])

    @property
    def shape(self) -> torch.Size:
        """The shape of each end."""
        return self.x_1.shape

    @property
    def ndim(self) -> int:
        """The number of axes of each end."""
        return self.x_1.ndim

    @property
    def device(self) -> torch.device:
        """Where the data points are."""
        return self.x_1.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the numbers of the data points."""
        return self.x_1.dtype

    def numel(self) -> int:
        """Return how many numbers each end has."""
        return self.x_1.numel()

    def map(self, f: Callable[[Tensor], Tensor]) -> "Pair":
        """Apply a function to both ends."""
        return Pair(f(self.x_0), f(self.x_1))

    def to(self, *args: Any, **kwargs: Any) -> "Pair":
        """Move both ends, as `Tensor.to` does."""
        return self.map(lambda x: x.to(*args, **kwargs))

    def expand_as(self, x: Tensor) -> "Pair":
        """Expand both ends, as `Tensor.expand_as` does."""
        return self.map(lambda end: end.expand_as(x))


@dataclass(frozen=True)
class PairBatch:
    """A batch of a data set of pairs: states that need no codec.

    Attributes:
        pair: The pairs.
        condition: The condition of each pair, batch first; None for none.
    """

    pair: Pair
    condition: Any = None

    def to(self, *args: Any, **kwargs: Any) -> "PairBatch":
        """Move the pairs and what goes with them."""
        moved = tree_map(lambda v: None if v is None else v.to(*args, **kwargs), self.condition)
        return PairBatch(self.pair.to(*args, **kwargs), moved)


def is_pair(z: Any) -> bool:
    """Return whether a conditioning variable is a pair."""
    return isinstance(z, Pair)


def states_of(batch: Any, encode: Callable[[Any], Any]) -> Any:
    """Return the states and the condition of a batch; what is no `PairBatch` is encoded first."""
    return (batch.pair, batch.condition) if isinstance(batch, PairBatch) else encode(batch)
