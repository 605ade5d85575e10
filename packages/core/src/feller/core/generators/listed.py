"""Distributions on a list of cells, by logits: what a network's output is read as.

Logits are log-probabilities up to a constant of each row. A network's output is taken as it is:
probabilities are made only of the rows where an event fired.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.generators.cells import Bins, Cells, MovedBins, TokenCells, Values
from feller.core.generators.destinations import Destination
from feller.core.generators.rows import draw_category, gauss_points, pick
from feller.core.typing import Rng

__all__ = ["Atoms", "Binned", "Categorical", "Listed", "MovedBinned"]


class Listed(Destination):
    """A distribution by the logits of its cells.

    Attributes:
        logits: The log-probability of each cell, up to a constant of each row.
    """

    logits: Float[Tensor, "*batch k"]

    @property
    @abstractmethod
    def cells(self) -> Cells:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The cells that the logits are of."""

    def masses(self, cells: Cells) -> Tensor:
        """Return the probabilities of its own cells."""
        if type(cells) is not type(self.cells):
            return Destination.masses(self, cells)
        return self.logits.softmax(-1)

    def log_masses(self) -> Tensor:
        """Return the log-probability of each cell, without a softmax that could underflow."""
        return self.logits.log_softmax(-1)

    def with_logits(self, logits: Tensor) -> "Listed":
        """Return the distribution of other logits on the same cells."""
        beside: Any = self
        return replace(beside, logits=logits)


@dataclass(frozen=True)
class Categorical(Listed):
    """Tokens 0 ... k - 1."""

    logits: Float[Tensor, "*batch k"]

    @property
    def cells(self) -> TokenCells:
        """The tokens."""
        return TokenCells(self.logits.shape[-1])

    def map(self, change: Callable[[Tensor], Tensor]) -> "Categorical":
        """Change the logits."""
        return Categorical(change(self.logits))

    def sample(self, rng: Rng) -> Tensor:
        """Draw a token from each row."""
        return draw_category(self.logits.softmax(-1), rng)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return every token with its probability."""
        tokens = torch.arange(self.logits.shape[-1], device=self.logits.device)
        return tokens.expand(self.logits.shape), self.logits.softmax(-1)

    def log_prob(self, y: Tensor) -> Tensor:
        """Return the log-probability of a token; of one beyond the list, minus infinity."""
        return pick(self.log_masses(), y, y < self.logits.shape[-1])


@dataclass(frozen=True)
class Atoms(Listed):
    """Values from a short list: pixel levels, the values of a finite posterior.

    Attributes:
        logits: Their log-probabilities, up to a constant of each row.
        values: The numbers, rising.
    """

    logits: Float[Tensor, "*batch k"]
    values: Float[Tensor, " k"]

    @property
    def cells(self) -> Values:
        """The numbers."""
        return Values(self.values)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Atoms":
        """Change the logits."""
        return Atoms(change(self.logits), self.values)

    def sample(self, rng: Rng) -> Tensor:
        """Draw a number from each row."""
        return self.values[draw_category(self.logits.softmax(-1), rng)]

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return every number with its probability."""
        return self.values.expand(self.logits.shape), self.logits.softmax(-1)

    def log_prob(self, y: Tensor) -> Tensor:
        """Return the log-probability of a number; of one that is not a value, minus infinity."""
        middles, spacing = (self.values[1:] + self.values[:-1]) / 2, self.values.diff().min()
        index = torch.bucketize(y.contiguous(), middles)
        is_value = (self.values[index] - y).abs() < 1e-3 * spacing
        return pick(self.log_masses(), index, is_value)


@dataclass(frozen=True)
class Binned(Listed):
    """Numbers with a density that is constant within each bin.

    Attributes:
        logits: The log of each bin's mass, up to a constant of each row.
        edges: Where bins begin and end, rising.
    """

    logits: Float[Tensor, "*batch k"]
    edges: Float[Tensor, " k+1"]
    is_density = True

    @property
    def cells(self) -> Bins:
        """The bins."""
        return Bins(self.edges)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Binned":
        """Change the logits."""
        return Binned(change(self.logits), self.edges)

    def sample(self, rng: Rng) -> Tensor:
        """Draw a bin, then a position in it."""
        bin_ = draw_category(self.logits.softmax(-1), rng)
        fraction = random.uniform(bin_.shape, rng, like=self.edges)
        return torch.lerp(self.edges[bin_], self.edges[bin_ + 1], fraction)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return three Gauss points a bin."""
        nodes, weights = gauss_points(3, self.edges)
        points = self.edges[:-1, None] + self.edges.diff()[:, None] * nodes
        mass = (self.logits.softmax(-1)[..., None] * weights).flatten(-2)
        return points.flatten().expand(mass.shape), mass

    def log_prob(self, y: Tensor) -> Tensor:
        """Return the log-density of a number; outside the bins, minus infinity."""
        index = torch.bucketize(y.contiguous(), self.edges, right=True) - 1
        bins = self.logits.shape[-1]
        return pick(self.log_densities(), index, (index >= 0) & (index < bins))

    def log_densities(self) -> Tensor:
        """Return the log-density within each bin."""
        return self.log_masses() - self.edges.diff().log()


@dataclass(frozen=True)
class MovedBinned(Listed):
    """A distribution on bins with an origin and a unit for each element.

    Attributes:
        binned: That of (y - origin) / unit.
        origin: The position of each element.
        unit: Its unit.
    """

    binned: Binned
    origin: Tensor
    unit: Tensor
    is_density = True

    @property
    def logits(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The log of each bin's mass, up to a constant of each row."""
        return self.binned.logits

    @property
    def cells(self) -> MovedBins:
        """The bins."""
        return MovedBins(self.binned.cells, self.origin, self.unit)

    def map(self, change: Callable[[Tensor], Tensor]) -> "MovedBinned":
        """Change the distribution, the positions and the units."""
        return MovedBinned(self.binned.map(change), change(self.origin), change(self.unit))

    def sample(self, rng: Rng) -> Tensor:
        """Draw from each distribution, and move."""
        return torch.addcmul(self.origin, self.unit, self.binned.sample(rng))

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return three Gauss points a bin."""
        points, weights = self.binned.quadrature()
        return self.origin[..., None] + self.unit[..., None] * points, weights

    def log_densities(self) -> Tensor:
        """Return the log-density within each bin."""
        return self.binned.log_densities() - self.unit.log()[..., None]

    def with_logits(self, logits: Tensor) -> "MovedBinned":
        """Return the distribution of other logits on the same bins."""
        return replace(self, binned=replace(self.binned, logits=logits))

    def log_prob(self, y: Tensor) -> Tensor:
        """Return the log-density of a number; outside the bins, minus infinity."""
        return self.binned.log_prob((y - self.origin) / self.unit) - self.unit.log()
