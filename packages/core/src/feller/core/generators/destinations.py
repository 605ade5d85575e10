"""Destinations: where a jump goes, as distributions that are sampled only where an event fired.

A destination has batch axes, one distribution for each element of each state. It can be indexed
along them, drawn from, and turned into weighted points that give expectations: their axis is the
last, after those inside an element, along which weights are alike. Those that know say how probable
a point or a cell is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.generators.cells import Cells
from feller.core.generators.rows import draw_category
from feller.core.sources import Source
from feller.core.times import expand_time
from feller.core.typing import Rng

__all__ = [
    "Deferred",
    "Destination",
    "Either",
    "FromSource",
    "Mixture",
    "Point",
]

Index = Any


class Destination(ABC):
    """A distribution for each element.

    Attributes:
        cells: The cells that it is a list of probabilities of; None for any other.
        is_density: Whether `log_prob` is that of a density: no point has a probability.
        element_dim: How many axes an element has, in the last axes of what is drawn.
        is_bounded: Whether it lands between two numbers, which bins can hold.
        is_certain: Whether it lands at one point, `y`.
    """

    cells: Cells | None = None
    is_density: bool = False
    element_dim: int = 0
    is_bounded: bool = False
    is_certain: bool = False

    @abstractmethod
    def map(self, change: Callable[[Tensor], Tensor]) -> "Destination":
        """Return the distribution with a change of the batch axes made to each of its tensors."""

    @abstractmethod
    def sample(self, rng: Rng) -> Tensor:
        """Draw one point from each distribution."""

    @abstractmethod
    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return points and weights in a last axis: E f(y) is the sum of weight times f(point)."""

    def masses(self, cells: Cells) -> Tensor:
        """Return the probability of each cell, in a last axis.

        Raises:
            LookupError: When it knows nothing of such cells.
        """
        kind = type(cells).__name__.lower()
        raise LookupError(f"a {type(self).__name__} has no masses on cells that are {kind}")

    def log_prob(self, y: Tensor) -> Tensor:
        """Return the log of the probability, or of the density, of each point.

        Raises:
            LookupError: When it does not know.
        """
        raise LookupError(f"a {type(self).__name__} gives no mass to a point and has no density")

    def at(self, index: Index) -> "Destination":
        """Return the distributions at an index into the batch axes."""
        return self.map(lambda tensor: tensor[index])

    def expand(self, shape: torch.Size) -> "Destination":
        """Return the distributions with their batch axes expanded to `shape`, as views."""
        axes = len(shape)
        return self.map(lambda tensor: tensor.expand(*shape, *tensor.shape[axes:]))


@dataclass(frozen=True)
class Point(Destination):
    """A deterministic destination: each element goes to `y`."""

    y: Tensor
    is_certain = True

    def map(self, change: Callable[[Tensor], Tensor]) -> "Point":
        """Change the points."""
        return Point(change(self.y))

    def sample(self, rng: Rng) -> Tensor:
        """Return the points."""
        return self.y

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return the point with weight one."""
        weight = torch.ones(self.y.shape, device=self.y.device)
        return self.y[..., None], weight[..., None]

    def masses(self, cells: Cells) -> Tensor:
        """Return 1 for the cell that the point is in; NaN where it is in none."""
        index, valid = cells.index_of(self.y)
        dtype = torch.get_default_dtype() if cells.edges is None else cells.edges.dtype
        inside = torch.nn.functional.one_hot(index, cells.count).to(dtype)
        return torch.where(valid[..., None], inside, torch.nan)

    def log_prob(self, y: Tensor) -> Tensor:
        """Return 0 at the point, minus infinity elsewhere."""
        return torch.where(self.y == y, 0.0, -torch.inf)


@dataclass(frozen=True)
class Mixture(Destination):
    """One of k distributions, chosen at random.

    Attributes:
        weights: Of each, in the last axis; they need not sum to one.
        components: The distributions; the last of their batch axes is that of the weights.
    """

    weights: Float[Tensor, "*batch k"]
    components: Destination

    @property
    def is_density(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether those mixed are densities."""
        return self.components.is_density

    def map(self, change: Callable[[Tensor], Tensor]) -> "Mixture":
        """Change the weights and the distributions."""
        return Mixture(change(self.weights), self.components.map(change))

    def sample(self, rng: Rng) -> Tensor:
        """Choose a distribution for each of a list of elements, then draw from it."""
        nowhere = self.weights.sum(-1, keepdim=True) == 0  # where no event happens: any will do
        chosen = draw_category(torch.where(nowhere, 1.0, self.weights), rng)
        positions = [torch.arange(n, device=chosen.device) for n in chosen.shape]
        return self.components.at((*torch.meshgrid(*positions, indexing="ij"), chosen)).sample(rng)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return the points of every distribution."""
        points, inner = self.components.quadrature()
        mass, axis = _beside(self._fractions(), inner) * inner, self.weights.ndim - 1
        return points.movedim(axis, -2).flatten(-2), mass.movedim(axis, -2).flatten(-2)

    def masses(self, cells: Cells) -> Tensor:
        """Return the mean of the masses under the weights."""
        return (self._fractions()[..., None] * self.components.masses(cells)).sum(-2)

    def log_prob(self, y: Tensor) -> Tensor:
        """Return the log of the mean probability under the weights."""
        total = self.weights.sum(-1, keepdim=True)
        log_weights = self.weights.log() - torch.where(total > 0, total, 1.0).log()
        return (
            log_weights + self.components.log_prob(y.unsqueeze(-1 - self.components.element_dim))
        ).logsumexp(-1)

    def _fractions(self) -> Tensor:
        total = self.weights.sum(-1, keepdim=True)
        return self.weights / torch.where(total > 0, total, 1.0)


@dataclass(frozen=True)
class Either(Destination):
    """One of two distributions of different kinds.

    Attributes:
        probability: Probability of the first.
        first: A distribution.
        second: Another, with the same batch axes.
    """

    probability: Tensor
    first: Destination
    second: Destination

    def map(self, change: Callable[[Tensor], Tensor]) -> "Either":
        """Change the probability and both distributions."""
        return Either(change(self.probability), self.first.map(change), self.second.map(change))

    def sample(self, rng: Rng) -> Tensor:
        """Draw from both, and choose."""
        u = random.uniform(self.probability.shape, rng, like=self.probability)
        first, second = self.first.sample(rng), self.second.sample(rng)
        return torch.where(expand_time(u < self.probability, first), first, second)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return the points of both."""
        (x, p), (y, q) = self.first.quadrature(), self.second.quadrature()
        probability = _beside(self.probability, p)
        return torch.cat([x, y], -1), torch.cat([probability * p, (1 - probability) * q], -1)


@dataclass(frozen=True)
class Deferred(Destination):
    """A distribution made only of the elements asked for, such as those where an event fired.

    Attributes:
        base: A destination with the batch axes of the elements, such as a posterior.
        numbers: Its other inputs: tensors that broadcast to the batch axes.
        build: Makes the distribution from both.
    """

    base: Destination
    numbers: tuple[Tensor, ...]
    build: Callable[..., Destination]

    @property
    def is_density(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the distribution that is made is a density."""
        return self.made().is_density

    def made(self) -> Destination:
        """Return the distribution."""
        return self.build(self.base, *self.numbers)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Deferred":
        """Change the distribution and the numbers, broadcast first."""
        numbers = tuple(map(change, torch.broadcast_tensors(*self.numbers)))
        return Deferred(self.base.map(change), numbers, self.build)

    def sample(self, rng: Rng) -> Tensor:
        """Make the distribution, then draw."""
        return self.made().sample(rng)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Make the distribution, then its points."""
        return self.made().quadrature()

    def masses(self, cells: Cells) -> Tensor:
        """Make the distribution, then its masses."""
        return self.made().masses(cells)

    def log_prob(self, y: Tensor) -> Tensor:
        """Make the distribution, then ask it."""
        return self.made().log_prob(y)


@dataclass(frozen=True)
class FromSource(Destination):
    """Back to the source: each element goes to a sample of p_0.

    Attributes:
        source: The source; it draws elements independently.
        like: A tensor of the shape of the elements.
    """

    source: Source
    like: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "FromSource":
        """Change the shape."""
        return FromSource(self.source, change(self.like))

    def sample(self, rng: Rng) -> Tensor:
        """Draw from the source."""
        return self.source.sample(self.like.shape, rng, like=self.like)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return the points of the source, the same for each element."""
        points, weights = self.source.points(self.like)
        shape = (*self.like.shape, len(points))
        return points.expand(shape), weights.expand(shape)

    def masses(self, cells: Cells) -> Tensor:
        """Return the probability of each token in the source."""
        if not cells.are_tokens:
            return Destination.masses(self, cells)
        mass = self.source.log_density(torch.arange(cells.count, device=self.like.device)).exp()
        return mass.expand(*self.like.shape, -1)


def _beside(probability: Tensor, points: Tensor) -> Tensor:
    """Give probabilities of elements the axes inside of elements, and that of their points."""
    return probability.reshape(probability.shape + (1,) * (points.ndim - probability.ndim))
