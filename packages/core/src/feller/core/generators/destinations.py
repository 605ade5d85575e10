"""Destinations: where a jump goes, as laws that are sampled only where an event fired.

A destination has batch axes, one law for each element of each state. It can be indexed along them,
drawn from, and turned into weighted points that give expectations.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.typing import Rng

__all__ = ["Atoms", "Binned", "Categorical", "Destination", "Mixture", "Point", "RatioOfNormals"]

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
        nodes, weights = _gauss(3, self.edges)
        points = self.edges[:-1, None] + self.edges.diff()[:, None] * nodes
        mass = (self.logits.softmax(-1)[..., None] * weights).flatten(-2)
        return points.flatten().expand(mass.shape), mass


@dataclass(frozen=True)
class RatioOfNormals(Destination):
    r"""Where mass grows on a Gaussian path: density (1 + c u - u^2) phi(u) / Z between its roots.

    In u = (y - mean) / scale. The antiderivative is G(u) = (u - c) phi(u), so bin masses and the
    distribution function are exact. Derived from d/dt log p = a (1 + c u - u^2).

    Attributes:
        mean: alpha_t z.
        scale: sigma_t.
        c: -alpha_dot z / sigma_dot.
    """

    mean: Tensor
    scale: Tensor
    c: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "RatioOfNormals":
        """Change the parameters, broadcast first."""
        return RatioOfNormals(*map(change, torch.broadcast_tensors(self.mean, self.scale, self.c)))

    def sample(self, rng: Rng) -> Tensor:
        """Invert the distribution function by bisection."""
        low, high = self._roots()
        share = random.uniform(low.shape, rng, like=low)
        target = torch.lerp(self._antiderivative(low), self._antiderivative(high), share)
        for _ in range(26 if low.dtype == torch.float32 else 54):
            middle = (low + high) / 2
            below = self._antiderivative(middle) < target
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return self.mean + self.scale * (low + high) / 2

    def mass(self, edges: Tensor) -> Tensor:
        """Return the probability of each bin between `edges`, in a last axis."""
        low, high = self._roots()
        u = (edges - self.mean[..., None]) / self.scale[..., None]
        u = u.clamp(low[..., None], high[..., None])
        total = self._antiderivative(high) - self._antiderivative(low)
        return ((u - self.c[..., None]) * _phi(u)).diff(dim=-1) / total[..., None]

    def flux(self) -> Tensor:
        """Return Z: intensity on average is a Z."""
        low, high = self._roots()
        return self._antiderivative(high) - self._antiderivative(low)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return 40 Gauss points between the roots, as far out as phi counts."""
        low, high = (root[..., None].clamp(-9, 9) for root in self._roots())
        nodes, weights = _gauss(40, low)
        u = low + (high - low) * nodes
        c = self.c[..., None]
        mass = weights * (high - low) * (1 + c * u - u**2) * _phi(u)
        points = self.mean[..., None] + self.scale[..., None] * u
        return points, mass / self.flux()[..., None]

    def _roots(self) -> tuple[Tensor, Tensor]:
        root = torch.sqrt(self.c**2 + 4)
        # The smaller root in size is -1 over the larger: no cancellation.
        large = (self.c.abs() + root) / 2
        high = torch.where(self.c >= 0, large, 1 / large)
        return -1 / high, high

    def _antiderivative(self, u: Tensor) -> Tensor:
        return (u - self.c) * _phi(u)


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
        outer = self.weights / self.weights.sum(-1, keepdim=True)
        return points.flatten(-2), (outer[..., None] * inner).flatten(-2)


def draw_category(probabilities: Float[Tensor, "*batch k"], rng: Rng) -> Tensor:
    """Draw an index from each row of unnormalised probabilities, by inverting the running sum.

    The sum runs in float64: in float32 it would lose rare categories.
    """
    running = probabilities.double().cumsum(-1)
    u = random.uniform(running.shape[:-1], rng, like=running)[..., None]
    found = torch.searchsorted(running, u * running[..., -1:], right=True)
    return found.squeeze(-1).clamp_max(probabilities.shape[-1] - 1)


def _phi(u: Tensor) -> Tensor:
    return torch.exp(-0.5 * u**2) / math.sqrt(2 * math.pi)


def _gauss(n: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return Gauss-Legendre nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (like.new_tensor((nodes + 1) / 2), like.new_tensor(weights / 2))
