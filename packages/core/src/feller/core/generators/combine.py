"""Combinations of generators that follow one marginal path: superpositions.

Generator Matching, arXiv 2410.20587, proposition 3. `0.5 * flow + 0.5 * jump` is a superposition:
weights of forward parts sum to one. A **stationary** part, which leaves the marginal law alone,
adds at any weight; a **backward** part, which solves the KFE of reversed time, takes its weight
back from the forward ones: a L + b Lbar with a - b = 1.

Caution: a flow and a jump both at weight one are not a superposition: probability would move twice
as fast.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from feller.core.generators.base import Generator
from feller.core.generators.diffusion import Diffusion
from feller.core.generators.flow import Flow
from feller.core.generators.jump import Jump
from feller.core.spaces import StateSpace
from feller.core.typing import Rng, Time

__all__ = ["Part", "Superposition", "backward", "scaled", "stationary"]

Role = Literal["forward", "stationary", "backward"]
_SIGN: dict[str, float] = {"forward": 1.0, "stationary": 0.0, "backward": -1.0}


@dataclass(frozen=True)
class Part:
    """A weighted generator in a sum.

    Attributes:
        weight: A number, or a tensor that broadcasts against the state (a weight per coordinate).
        generator: The generator.
        role: Whether it moves along the path, leaves it alone, or moves back along it.
    """

    weight: float | Tensor
    generator: Generator
    role: Role = "forward"


def weigh(weight: float | Tensor, generator: Generator) -> "Superposition":
    """Return a generator as a forward part of a superposition."""
    return Superposition((Part(weight, generator),))


def stationary(generator: Generator) -> "Superposition":
    """Mark a generator that leaves the marginal law alone: it adds at any weight."""
    return Superposition((Part(1.0, generator, "stationary"),))


def backward(generator: Generator) -> "Superposition":
    """Mark a generator that solves the KFE backward in time."""
    return Superposition((Part(1.0, generator, "backward"),))


@dataclass(frozen=True)
class Superposition(Generator):
    """A weighted sum of generators.

    Example:
        >>> flow = Flow(torch.ones(1, 1))
        >>> (0.25 * flow + 0.75 * flow).apply(lambda x: x.sum(-1), torch.zeros(1, 1))
        tensor([1.])
    """

    parts: tuple[Part, ...]

    def __add__(self, other: "Superposition") -> "Superposition":
        """Join two sums."""
        return Superposition(self.parts + other.parts)

    def __rmul__(self, weight: float | Tensor) -> "Superposition":
        """Weigh every part."""
        return Superposition(tuple(replace(p, weight=weight * p.weight) for p in self.parts))

    def check(self) -> None:
        """Raise a `ValueError` unless the weights make a superposition."""
        weights = [torch.as_tensor(part.weight) for part in self.parts]
        if any(bool((w < 0).any()) for w in weights):
            raise ValueError("the weight of a part of a superposition is at least 0")
        total = sum(_SIGN[p.role] * w for p, w in zip(self.parts, weights, strict=True))
        if not bool(torch.isclose(torch.as_tensor(total).double(), torch.ones(()).double()).all()):
            raise ValueError(
                "forward weights less backward weights sum to 1, these to "
                f"{float(torch.as_tensor(total).double().mean()):.4g}"
            )

    def apply(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return the weighted sum."""
        self.check()
        return torch.stack([scaled(p.generator, p.weight).apply(f, x) for p in self.parts]).sum(0)

    def step(self, space: StateSpace, x: Tensor, h: Time, rng: Rng) -> Tensor:
        """Step each part in turn, its weight on its rate."""
        self.check()
        for part in self.parts:
            x = scaled(part.generator, part.weight).step(space, x, h, rng)
        return x

    def average(self, weights: Tensor) -> "Superposition":
        """Average each part."""
        means = (replace(part, generator=part.generator.average(weights)) for part in self.parts)
        return Superposition(tuple(means))


def scaled(generator: Generator, weight: float | Tensor) -> Generator:
    """Return the generator at a multiple of its rate.

    Raises:
        LookupError: For a kind that is not known.
    """
    if isinstance(generator, Flow):
        return Flow(weight * generator.velocity)
    if isinstance(generator, Diffusion):
        return Diffusion(weight * generator.drift, weight * generator.covariance)
    if isinstance(generator, Jump):
        return replace(generator, intensity=weight * generator.intensity)
    if isinstance(generator, Superposition):
        return weight * generator
    raise LookupError(f"no multiple of a {type(generator).__name__} is known")
