"""Combinations of generators that follow one marginal path: superpositions.

Generator Matching, arXiv 2410.20587, proposition 3. `0.5 * flow + 0.5 * jump` is a superposition:
weights of forward parts sum to one. A **stationary** part, which leaves the marginal law alone,
adds at any weight; a **backward** part, which solves the KFE of reversed time, takes its weight
back from the forward ones: a L + b Lbar with a - b = 1.

Caution: a flow and a jump both at weight one are not a superposition: probability would move twice
as fast.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from feller.core.checks import readable
from feller.core.generators.base import Generator
from feller.core.generators.diffusion import Diffusion
from feller.core.generators.flow import Flow
from feller.core.generators.jump import Jump
from feller.core.generators.posterior import FromPosterior
from feller.core.generators.product import Product
from feller.core.typing import Rng

__all__ = [
    "Part",
    "Split",
    "Superposition",
    "backward",
    "fit_weight",
    "scaled",
    "split",
    "stationary",
]

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
        if not isinstance(other, Superposition):
            raise TypeError(f"weigh each part, as in 0.5 * flow; a {type(other).__name__} is not")
        return Superposition(self.parts + other.parts)

    def __radd__(self, other: Any) -> "Superposition":
        """Let `sum` begin at 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __rmul__(self, weight: float | Tensor) -> "Superposition":
        """Weigh every part."""
        return Superposition(tuple(replace(p, weight=weight * p.weight) for p in self.parts))

    def check(self) -> None:
        """Raise a `ValueError` unless the weights make a superposition."""
        if any(_least(part.weight) < 0 for part in self.parts):
            raise ValueError("the weight of a part of a superposition is at least 0")
        total = sum(_SIGN[part.role] * part.weight for part in self.parts)
        if isinstance(total, Tensor):
            if not readable(total):
                return
            total = total.double()
            total = float(total.flatten()[(total - 1).abs().argmax()])
        if not abs(total - 1) < 1e-5:
            raise ValueError(
                f"forward weights less backward weights sum to 1, these to {total:.4g}"
            )

    def apply(self, f: Callable[[Any], Tensor], x: Any) -> Tensor:
        """Return the weighted sum."""
        factors = factors_of(self)  # which checks the weights
        if "" not in factors:
            return Product(factors).apply(f, x)
        terms = [scaled(part.generator, part.weight).apply(f, x) for part in flattened(self)]
        return torch.stack(terms).sum(0)

    def step(self, space: Any, x: Any, h: Any, rng: Rng) -> Any:
        """Step each part in turn, its weight on its rate."""
        factors = factors_of(self)
        if "" not in factors:
            return Product(factors).step(space, x, h, rng)
        for part in flattened(self):
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
        ValueError: When the weight does not broadcast against the state.
    """
    if isinstance(generator, FromPosterior):
        generator = generator.generator
    if isinstance(generator, Flow):
        return Flow(fit_weight(weight, generator.velocity) * generator.velocity)
    if isinstance(generator, Diffusion):
        weight = fit_weight(weight, generator.drift)
        return Diffusion(weight * generator.drift, weight * generator.covariance)
    if isinstance(generator, Jump):
        weight = fit_weight(weight, generator.intensity)
        return replace(generator, intensity=weight * generator.intensity)
    if isinstance(generator, Product):
        return Product({name: scaled(g, weight) for name, g in generator.factors.items()})
    if isinstance(generator, Superposition):
        return weight * generator
    own = getattr(generator, "scaled", None)  # a kind from outside knows its own multiples
    if own is not None:
        return own(weight)
    raise LookupError(f"no multiple of a {type(generator).__name__} is known")


@dataclass(frozen=True)
class Split:
    """A generator on R^d taken apart: theorem 1's drift, diffusion and jumps, weights applied.

    Attributes:
        drift: The velocities of flows and the drifts of diffusions, added; None without either.
        covariance: The covariances of diffusions, added; None without any.
        jumps: The jumps.
    """

    drift: Tensor | None
    covariance: Tensor | None
    jumps: tuple[Jump, ...]


def split(generator: Generator) -> Split:
    """Take a generator apart into drift, covariance and jumps.

    Raises:
        LookupError: For a kind that is not known.
        ValueError: When the weights of a superposition are none.

    Example:
        >>> flow = Flow(torch.ones(1, 1))
        >>> split(0.25 * flow + 0.75 * flow).drift
        tensor([[1.]])
    """
    if isinstance(generator, Flow):
        return Split(generator.velocity, None, ())
    if isinstance(generator, Diffusion):
        return Split(generator.drift, generator.covariance, ())
    if isinstance(generator, Jump):
        return Split(None, None, (generator,))
    if isinstance(generator, FromPosterior):
        return split(generator.generator)
    if not isinstance(generator, Superposition):
        raise LookupError(f"a {type(generator).__name__} does not split into drift and jumps")
    generator.check()
    parts = [split(scaled(part.generator, part.weight)) for part in flattened(generator)]
    return Split(
        _sum([p.drift for p in parts]),
        _sum([p.covariance for p in parts]),
        tuple(jump for p in parts for jump in p.jumps),
    )


def factors_of(generator: Generator) -> Mapping[str, Generator]:
    """Return the generators of the factors of a product, or of a sum of products, by name.

    A generator of no product stands under the empty name.
    """
    if isinstance(generator, Product):
        return generator.factors
    if not isinstance(generator, Superposition):
        return {"": generator}
    generator.check()
    leaves = [(part, part.generator) for part in flattened(generator)]
    products = [(part, inner) for part, inner in leaves if isinstance(inner, Product)]
    if not products or len(products) < len(leaves):
        return {"": generator}
    return {
        name: Superposition(
            tuple(replace(p, generator=inner.factors[name]) for p, inner in products)
        )
        for name in products[0][1].factors
    }


def flattened(superposition: Superposition) -> list[Part]:
    """Return the parts of a superposition, those of its parts that are sums multiplied out."""
    leaves: list[Part] = []
    for part in superposition.parts:
        inner = part.generator
        inner = inner.generator if isinstance(inner, FromPosterior) else inner
        if isinstance(inner, Superposition):
            # Of what leaves the law alone, so does any sum, and forth as much as back.
            if part.role != "stationary":
                inner.check()
            leaves += [replace(p, weight=part.weight * p.weight) for p in flattened(inner)]
        else:
            leaves.append(replace(part, generator=inner))
    return leaves


def _least(weight: float | Tensor) -> float:
    if not isinstance(weight, Tensor):
        return weight
    return float(weight.min()) if readable(weight) else 0.0


def fit_weight(weight: float | Tensor, rates: Tensor) -> float | Tensor:
    """Return a weight without the axes that elements have inside, one rate to an element."""
    if not isinstance(weight, Tensor):
        return weight
    while weight.ndim > rates.ndim and weight.shape[-1] == 1:
        weight = weight.squeeze(-1)
    fits = weight.ndim <= rates.ndim and all(
        a in (1, b) for a, b in zip(reversed(weight.shape), reversed(rates.shape), strict=False)
    )
    if not fits:
        raise ValueError(
            f"a weight of shape {tuple(weight.shape)} does not broadcast against rates of shape "
            f"{tuple(rates.shape)}; one a sample has shape ({len(rates)}, 1, ...)"
        )
    return weight


def _sum(terms: list[Tensor | None]) -> Tensor | None:
    there = [term for term in terms if term is not None]
    return sum(there[1:], start=there[0]) if there else None
