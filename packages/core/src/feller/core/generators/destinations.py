"""Destinations: where a jump goes, as laws that are sampled only where an event fired.

A destination has batch axes, one law for each element of each state. It can be indexed along them,
drawn from, and turned into weighted points that give expectations: their axis is the last, after
those inside an element, along which weights are alike.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.sources import Source, source_points
from feller.core.times import expand_time
from feller.core.typing import Rng

__all__ = [
    "Atoms",
    "Binned",
    "Categorical",
    "Deferred",
    "Destination",
    "Either",
    "FromSource",
    "Mixture",
    "Point",
]

Index = Any


class Destination(ABC):
    """A law for each element."""

    @abstractmethod
    def map(self, change: Callable[[Tensor], Tensor]) -> "Destination":
        """Return the law with a change of the batch axes made to each of its tensors."""

    @abstractmethod
    def sample(self, rng: Rng) -> Tensor:
        """Draw one point from each law."""

    @abstractmethod
    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return points and weights in a last axis: E f(y) is the sum of weight times f(point)."""

    def at(self, index: Index) -> "Destination":
        """Return the laws at an index into the batch axes."""
        return self.map(lambda tensor: tensor[index])

    def expand(self, shape: torch.Size) -> "Destination":
        """Return the laws with their batch axes expanded to `shape`, as views."""
        axes = len(shape)
        return self.map(lambda tensor: tensor.expand(*shape, *tensor.shape[axes:]))


@dataclass(frozen=True)
class Point(Destination):
    """A certain destination: each element goes to `y`."""

    y: Tensor

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


@dataclass(frozen=True)
class Categorical(Destination):
    """Tokens 0 ... k - 1.

    Attributes:
        logits: Their log-probabilities, up to a constant of each row. A network's output is taken
            as it is: probabilities are made only of the rows where an event fired.
    """

    logits: Float[Tensor, "*batch k"]

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


@dataclass(frozen=True)
class Atoms(Destination):
    """Numbers out of a short list: pixel levels, the values of a finite posterior.

    Attributes:
        logits: Their log-probabilities, up to a constant of each row.
        values: The numbers.
    """

    logits: Float[Tensor, "*batch k"]
    values: Float[Tensor, " k"]

    def map(self, change: Callable[[Tensor], Tensor]) -> "Atoms":
        """Change the logits."""
        return Atoms(change(self.logits), self.values)

    def sample(self, rng: Rng) -> Tensor:
        """Draw a number from each row."""
        return self.values[draw_category(self.logits.softmax(-1), rng)]

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return every number with its probability."""
        return self.values.expand(self.logits.shape), self.logits.softmax(-1)


@dataclass(frozen=True)
class Binned(Destination):
    """Numbers with a density that is constant within each bin.

    Attributes:
        logits: The log of each bin's mass, up to a constant of each row.
        edges: Where bins begin and end, rising.
    """

    logits: Float[Tensor, "*batch k"]
    edges: Float[Tensor, " k+1"]

    def map(self, change: Callable[[Tensor], Tensor]) -> "Binned":
        """Change the logits."""
        return Binned(change(self.logits), self.edges)

    def sample(self, rng: Rng) -> Tensor:
        """Draw a bin, then a place in it."""
        bin_ = draw_category(self.logits.softmax(-1), rng)
        place = random.uniform(bin_.shape, rng, like=self.edges)
        return torch.lerp(self.edges[bin_], self.edges[bin_ + 1], place)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return three Gauss points a bin."""
        nodes, weights = gauss_points(3, self.edges)
        points = self.edges[:-1, None] + self.edges.diff()[:, None] * nodes
        mass = (self.logits.softmax(-1)[..., None] * weights).flatten(-2)
        return points.flatten().expand(mass.shape), mass


@dataclass(frozen=True)
class Mixture(Destination):
    """One of k laws, chosen at random.

    Attributes:
        weights: Of each law, in the last axis; they need not sum to one.
        laws: The laws; the last of their batch axes is that of the weights.
    """

    weights: Float[Tensor, "*batch k"]
    laws: Destination

    def map(self, change: Callable[[Tensor], Tensor]) -> "Mixture":
        """Change the weights and the laws."""
        return Mixture(change(self.weights), self.laws.map(change))

    def sample(self, rng: Rng) -> Tensor:
        """Choose a law for each of a list of elements, then draw from it."""
        chosen = draw_category(self.weights, rng)
        places = [torch.arange(n, device=chosen.device) for n in chosen.shape]
        return self.laws.at((*torch.meshgrid(*places, indexing="ij"), chosen)).sample(rng)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return the points of every law."""
        points, inner = self.laws.quadrature()
        total = self.weights.sum(-1, keepdim=True)
        outer = self.weights / torch.where(total > 0, total, 1.0)
        mass, laws = _beside(outer, inner) * inner, self.weights.ndim - 1
        return points.movedim(laws, -2).flatten(-2), mass.movedim(laws, -2).flatten(-2)


@dataclass(frozen=True)
class Either(Destination):
    """One of two laws of different kinds.

    Attributes:
        chance: That of the first.
        first: A law.
        second: Another, with the same batch axes.
    """

    chance: Tensor
    first: Destination
    second: Destination

    def map(self, change: Callable[[Tensor], Tensor]) -> "Either":
        """Change the chance and both laws."""
        return Either(change(self.chance), self.first.map(change), self.second.map(change))

    def sample(self, rng: Rng) -> Tensor:
        """Draw from both, and choose."""
        u = random.uniform(self.chance.shape, rng, like=self.chance)
        first, second = self.first.sample(rng), self.second.sample(rng)
        return torch.where(expand_time(u < self.chance, first), first, second)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return the points of both."""
        (x, p), (y, q) = self.first.quadrature(), self.second.quadrature()
        chance = _beside(self.chance, p)
        return torch.cat([x, y], -1), torch.cat([chance * p, (1 - chance) * q], -1)


@dataclass(frozen=True)
class Deferred(Destination):
    """A law that is made only of the elements asked for, such as those where an event fired.

    Attributes:
        law: A destination with the batch axes of the elements, such as a posterior.
        numbers: What else the law is made of: tensors that broadcast to the batch axes.
        build: Makes the law of both.
    """

    law: Destination
    numbers: tuple[Tensor, ...]
    build: Callable[..., Destination]

    def map(self, change: Callable[[Tensor], Tensor]) -> "Deferred":
        """Change the law and the numbers, broadcast first."""
        numbers = tuple(map(change, torch.broadcast_tensors(*self.numbers)))
        return Deferred(self.law.map(change), numbers, self.build)

    def sample(self, rng: Rng) -> Tensor:
        """Make the law, then draw."""
        return self.build(self.law, *self.numbers).sample(rng)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Make the law, then its points."""
        return self.build(self.law, *self.numbers).quadrature()


@dataclass(frozen=True)
class FromSource(Destination):
    """Back to the source: each element goes to a draw of p_0.

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
        points, weights = source_points(self.source, self.like)
        shape = (*self.like.shape, len(points))
        return points.expand(shape), weights.expand(shape)


def _beside(chance: Tensor, points: Tensor) -> Tensor:
    """Give chances of elements the axes that elements have inside, and that of their points."""
    return chance.reshape(chance.shape + (1,) * (points.ndim - chance.ndim))


def draw_category(probabilities: Float[Tensor, "*batch k"], rng: Rng) -> Tensor:
    """Draw an index from each row of unnormalised probabilities, by inverting the running sum.

    The sum runs in float64: in float32 it would lose rare categories.
    """
    running = probabilities.double().cumsum(-1)
    u = random.uniform(running.shape[:-1], rng, like=running)[..., None]
    found = torch.searchsorted(running, u * running[..., -1:], right=True)
    return found.squeeze(-1).clamp_max(probabilities.shape[-1] - 1)


def gauss_points(n: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return Gauss-Legendre nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (like.new_tensor((nodes + 1) / 2), like.new_tensor(weights / 2))
