"""Cells: the list on which a distribution of one number or token is a vector of probabilities.

Tokens, bins between edges, or numbers out of a short list. Rates into cells are the coordinates in
which jumps are compared, probabilities of cells those of posteriors.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core.checks import readable
from feller.core.times import expand_time

__all__ = ["Bins", "Cells", "MovedBins", "TokenCells", "Values"]


class Cells(ABC):
    """A list of cells.

    Attributes:
        count: How many.
        are_tokens: Whether they are tokens, which a jump can stay at.
        edges: Of bins, where they begin and end, rising; None of others.
    """

    count: int
    are_tokens: ClassVar[bool] = False
    edges: Tensor | None = None

    @abstractmethod
    def locate(self, y: Tensor) -> tuple[Int[Tensor, "*batch"], Bool[Tensor, "*batch"]]:
        """Return the cell of each point, clamped to the list, and whether it lies in it."""

    @abstractmethod
    def range(self) -> tuple[float, float]:
        """Return the smallest and the largest point."""

    def standard(self, mean: Tensor, scale: Tensor) -> Tensor:
        """Return the edges of bins in deviations `scale` from `mean`, in a last axis.

        Raises:
            LookupError: When the cells have no edges.
        """
        raise LookupError(f"numbers with a density have masses on bins, not on {self}")

    def index_of(self, y: Tensor) -> tuple[Int[Tensor, "*batch"], Bool[Tensor, "*batch"]]:
        """Return the cell in which each point lies, and whether there is one.

        Raises:
            ValueError: When a point is in no cell, where looking costs nothing
                (`feller.core.checks`); elsewhere its cell is some other one, and not valid.
        """
        index, valid = self.locate(y)
        if readable(valid) and not bool(valid.all()):
            low, high = self.range()
            raise ValueError(
                f"the data hold {y[~valid][0].item():.6g}, outside the {self.count} cells of the "
                f"model, {low:.6g} ... {high:.6g}"
            )
        return index.clamp(0, self.count - 1), valid


@dataclass(frozen=True)
class TokenCells(Cells):
    """Tokens 0 ... count - 1."""

    count: int
    are_tokens: ClassVar[bool] = True

    def locate(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens."""
        return y, (y >= 0) & (y <= self.count - 1)

    def range(self) -> tuple[float, float]:
        """Return the first and the last token."""
        return 0.0, self.count - 1.0


@dataclass(frozen=True)
class Bins(Cells):
    """Bins between rising edges; the last has both its edges.

    Example:
        >>> Bins(torch.tensor([0.0, 1.0, 2.0])).index_of(torch.tensor([0.5, 2.0]))[0]
        tensor([0, 1])
    """

    edges: Float[Tensor, " edges"]  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def count(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of bins."""
        return len(self.edges) - 1

    def locate(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bin that holds each number."""
        index = torch.bucketize(y.contiguous(), self.edges[1:-1].contiguous(), right=True)
        return index, (y >= self.edges[0]) & (y <= self.edges[-1])

    def range(self) -> tuple[float, float]:
        """Return the outer edges."""
        return float(self.edges[0]), float(self.edges[-1])

    def standard(self, mean: Tensor, scale: Tensor) -> Tensor:
        """Return the edges in deviations."""
        return (self.edges - mean[..., None]) / scale[..., None]


@dataclass(frozen=True)
class MovedBins(Cells):
    """Bins with an origin and a unit for each element.

    Attributes:
        bins: The bins of (y - origin) / unit.
        origin: The position of each element.
        unit: Its unit.
    """

    bins: Bins
    origin: Tensor
    unit: Tensor

    @property
    def count(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of bins."""
        return self.bins.count

    @property
    def edges(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The edges, in units from the origin."""
        return self.bins.edges

    def locate(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bin that holds each number."""
        return self.bins.locate((y - self.origin) / self.unit)

    def range(self) -> tuple[float, float]:
        """Return the least and the largest edge of any element."""
        low, high = (self.origin + self.unit * end for end in self.bins.range())
        return float(low.min()), float(high.max())

    def standard(self, mean: Tensor, scale: Tensor) -> Tensor:
        """Return the edges in deviations."""
        # The parts of a mixture have an axis beyond those of the elements.
        origin, unit = expand_time(self.origin, mean), expand_time(self.unit, mean)
        return self.bins.standard((mean - origin) / unit, scale / unit)


@dataclass(frozen=True)
class Values(Cells):
    """Rising numbers; a point is in the cell of the nearest, up to half a mean distance outside."""

    values: Float[Tensor, " k"]

    @property
    def count(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of values."""
        return len(self.values)

    def locate(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest value."""
        middles = (self.values[1:] + self.values[:-1]) / 2
        low, high = self._ends()
        return torch.bucketize(y.contiguous(), middles), (y >= low) & (y <= high)

    def range(self) -> tuple[float, float]:
        """Return the ends, half a mean distance outside of the values."""
        low, high = self._ends()
        return float(low), float(high)

    def _ends(self) -> tuple[Tensor, Tensor]:
        reach = (self.values[-1] - self.values[0]) / max(self.count - 1, 1) / 2
        return self.values[0] - reach, self.values[-1] + reach
