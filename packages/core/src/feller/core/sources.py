"""Sources p_0: where every process starts, at t = 0.

A source draws the elements of a state independently, so `log_density` is per element.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from feller.core import random
from feller.core.config import tagged
from feller.core.spaces import StateSpace
from feller.core.typing import Rng

__all__ = [
    "DataSource",
    "Gaussian",
    "Masked",
    "Source",
    "UniformBox",
    "UniformSphere",
    "UniformTokens",
]


class Source(ABC):
    """A distribution one can draw from and evaluate."""

    @abstractmethod
    def sample(self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None) -> Tensor:
        """Draw states of the given shape (batch first), with the dtype and device of `like`."""

    @abstractmethod
    def log_density(self, x: Tensor) -> Tensor:
        """Return the log density of each element, in nats."""

    def draws_in(self, space: StateSpace) -> bool:
        """Return whether all draws are in a space; a source that does not look says yes."""
        return True

    def excludes(self, x: Tensor) -> Tensor | None:
        """Return which elements are none it draws, and so are data; None if no element shows it."""
        return None

    def points(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return points and weights `(k,)` of one element: E f(x_0) is the sum of weight times f.

        Exact on tokens; 40 Gauss points on numbers.

        Raises:
            LookupError: For a source that knows none, such as one of vectors.
        """
        raise LookupError(f"no points are known that stand for a {type(self).__name__}")


@tagged("gaussian")
@dataclass(frozen=True)
class Gaussian(Source):
    """Independent standard normals.

    Example:
        >>> Gaussian().sample((2, 3), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3])
    """

    def sample(self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None) -> Tensor:
        """Draw standard normals."""
        return random.normal(shape, rng, like=like)

    def log_density(self, x: Tensor) -> Tensor:
        """Return -x^2 / 2 - log(2 pi) / 2."""
        return -0.5 * x**2 - 0.5 * math.log(2 * math.pi)

    def draws_in(self, space: StateSpace) -> bool:
        """Return whether any numbers are in a space."""
        anywhere = space.ends in (None, (-math.inf, math.inf))
        return anywhere and not space.is_discrete and not space.is_curved

    def points(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return Gauss-Hermite points."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        return like.new_tensor(nodes), like.new_tensor(weights / weights.sum())


@tagged("uniform_box")
@dataclass(frozen=True)
class UniformBox(Source):
    """Independent uniforms on [low, high]."""

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Check that the box is not empty."""
        if not self.low < self.high:
            raise ValueError(f"low is below high, not {self.low} and {self.high}")

    def sample(self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None) -> Tensor:
        """Draw uniforms on [low, high)."""
        return self.low + (self.high - self.low) * random.uniform(shape, rng, like=like)

    def log_density(self, x: Tensor) -> Tensor:
        """Return -log(high - low) inside, minus infinity outside."""
        inside = (x >= self.low) & (x <= self.high)
        level = torch.full_like(x, -math.log(self.high - self.low))
        return torch.where(inside, level, -torch.inf)

    def draws_in(self, space: StateSpace) -> bool:
        """Return whether a space has all numbers of the box."""
        low, high = (-math.inf, math.inf) if space.ends is None else space.ends
        flat = not space.is_discrete and not space.is_curved
        return flat and low <= self.low and self.high <= high

    def points(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return Gauss-Legendre points."""
        nodes, weights = np.polynomial.legendre.leggauss(40)
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        return like.new_tensor(middle + half * nodes), like.new_tensor(weights / 2)


@tagged("uniform_sphere")
@dataclass(frozen=True)
class UniformSphere(Source):
    """Unit vectors, uniform on the sphere of the last axis."""

    def sample(self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None) -> Tensor:
        """Draw directions of standard normals."""
        return torch.nn.functional.normalize(random.normal(shape, rng, like=like), dim=-1)

    def log_density(self, x: Tensor) -> Tensor:
        """Return minus the log area of the sphere."""
        half = x.shape[-1] / 2
        log_area = math.log(2) + half * math.log(math.pi) - math.lgamma(half)
        return x.new_full(x.shape[:-1], -log_area)

    def draws_in(self, space: StateSpace) -> bool:
        """Return whether a space may be one of unit vectors."""
        return space.ends is None and not space.is_discrete


@tagged("uniform_tokens")
@dataclass(frozen=True)
class UniformTokens(Source):
    """Tokens uniform on 0 ... size - 1."""

    size: int

    def sample(self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None) -> Tensor:
        """Draw tokens."""
        return random.integers(self.size, shape, rng, like=like)

    def log_density(self, x: Tensor) -> Tensor:
        """Return -log(size), and minus infinity for a token the source does not draw."""
        level = torch.full(x.shape, -math.log(self.size), device=x.device)
        return level.masked_fill(x >= self.size, -torch.inf)

    def draws_in(self, space: StateSpace) -> bool:
        """Return whether a space has as many tokens."""
        return space.is_discrete and self.size <= getattr(space, "size", math.inf)

    def points(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return every token."""
        tokens = torch.arange(self.size, device=like.device)
        return tokens, torch.full((self.size,), 1 / self.size, device=like.device)


@tagged("masked")
@dataclass(frozen=True)
class Masked(Source):
    """Every token is the mask.

    Attributes:
        mask: The id of the mask token.
    """

    mask: int

    def sample(self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None) -> Tensor:
        """Return masks; nothing is drawn."""
        device = like.device if like is not None else None
        return torch.full(tuple(shape), self.mask, dtype=torch.int64, device=device)

    def log_density(self, x: Tensor) -> Tensor:
        """Return 0 for the mask, minus infinity for any other token."""
        return torch.zeros(x.shape, device=x.device).masked_fill(x != self.mask, -torch.inf)

    def draws_in(self, space: StateSpace) -> bool:
        """Return whether the mask is a token of a space."""
        return space.is_discrete and 0 <= self.mask < getattr(space, "size", math.inf)

    def excludes(self, x: Tensor) -> Tensor:
        """Return which tokens are not the mask."""
        return x != self.mask

    def points(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mask alone."""
        return torch.full((1,), self.mask, device=like.device), torch.ones(1, device=like.device)


@tagged("data_source")
@dataclass(frozen=True)
class DataSource(Source):
    """A data set, not sampled here: training reads pairs, and simulation is given x_0.

    Its density is unknown, and asking for it raises an error.
    """

    def sample(self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None) -> Tensor:
        """Refuse to draw.

        Raises:
            ValueError: Always.
        """
        raise ValueError("the source is a data set: give its samples, as pairs or as x_0")

    def log_density(self, x: Tensor) -> Tensor:
        """Refuse to evaluate.

        Raises:
            ValueError: Always.
        """
        raise ValueError("the source is a data set, whose density is not known")
