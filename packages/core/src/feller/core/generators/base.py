r"""Generators: how a Markov process moves, at one time and at given states, and their sums.

The generator of :math:`X_t` is :math:`\mathcal{L}_t f(x) = \lim_{h \to 0} (E[f(X_{t+h}) | X_t = x]
- f(x)) / h`. On R^d it is a drift, a diffusion and a jump (theorem 1); on a finite set, a rate
matrix. A `Generator` here is a value: what a model returns at (x, t). It answers for itself: how it
acts and steps, what a multiple of it is, what it is made of, and how it is learnt.

Generators that follow one marginal path add up (proposition 3). `0.5 * flow + 0.5 * jump` is a
**superposition**: weights of forward parts sum to one. A **stationary** part, which leaves the
marginal distribution alone, adds at any weight; a **backward** part, which solves the KFE of
reversed time, takes its weight back from the forward ones: a L + b Lbar with a - b = 1.

Caution: a flow and a jump both at weight one are not a superposition: probability would move twice
as fast.

Source: Generator Matching, arXiv 2410.20587, theorem 1 and proposition 3.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.generators.factors import apply_factors, step_factors
from feller.core.generators.parts import Compared, Part, Role, Split, check_parts
from feller.core.spaces import StateSpace
from feller.core.typing import Rng, Time

__all__ = [
    "Generator",
    "Superposition",
    "backward",
    "is_kind",
    "is_sum",
    "stationary",
    "weigh",
]


class Generator(ABC):
    """A generator at a batch of states and one time.

    Your own kind of generator implements the three abstract methods. `scaled` lets it enter sums,
    `compare` lets it be trained, `split` lets solvers of R^d take it. One that is linear in a
    single tensor is a `feller.core.generators.LinearGenerator`, which has `average`, `scaled` and
    `compare`.

    Attributes:
        has_score: Whether it has a `score`, the gradient of log p, which it leaves p alone with.
        acts_as: The kinds that `split` makes of it, whose solvers and likelihood serve it too; none
            for a kind that solvers know by itself.
    """

    has_score: ClassVar[bool] = False
    acts_as: ClassVar[tuple[type["Generator"], ...]] = ()

    @abstractmethod
    def apply(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return L f(x).

        Args:
            f: A test function, from states `(b, *event)` to values `(b,)`, row by row; it may be
                called with any number of rows.
            x: The states at which the generator was taken.
        """

    @abstractmethod
    def step(self, space: StateSpace, x: Tensor, h: Time, rng: Rng) -> Tensor:
        """Return a state after the short time `h`, right to first order in `h`."""

    @abstractmethod
    def average(self, weights: Tensor) -> "Generator":
        """Return the generator of the mean of axis 1 under `weights`.

        They have the shape `(b, k)`, or `(b, k, *event)` where each element has its own
        distribution. The marginal generator is this mean of conditional ones under the posterior
        (proposition 1).
        """

    def scaled(self, weight: float | Tensor) -> "Generator":
        """Return the generator at a multiple of its rate.

        Raises:
            LookupError: For a kind that does not say what its multiples are.
            ValueError: When the weight does not broadcast against the state.
        """
        raise LookupError(f"no multiple of a {type(self).__name__} is known: give it a `scaled`")

    def leaves(self) -> tuple["Part", ...]:
        """Return the parts of a sum, multiplied out; of any other generator, itself at weight 1."""
        return (Part(1.0, self),)

    def by_factor(self) -> Mapping[str, "Generator"]:
        """Return the generator of each factor of a product; any other has the empty name."""
        return {"": self}

    def split(self) -> "Split":
        """Return drift, covariance and jumps: what theorem 1 makes of a generator on R^d.

        Raises:
            LookupError: For a kind that has none.
            ValueError: When the weights of a superposition do not sum to one.

        Example:
            >>> from feller.core.generators import Flow
            >>> flow = Flow(torch.ones(1, 1))
            >>> (0.25 * flow + 0.75 * flow).split().drift
            tensor([[1.]])
        """
        raise LookupError(f"a {type(self).__name__} does not split into drift and jumps")

    def compare(self, task: Any) -> Compared:
        """Return the loss of each sample, `(b,)`: the divergence from the conditional generator.

        A generator of several parts returns the losses that add up to it, by name.

        Args:
            task: What it is compared with: a `feller.core.losses.Comparison`.

        Raises:
            LookupError: For a kind that does not say how it is compared.
        """
        raise LookupError(f"no loss of a {type(self).__name__} is known: give it a `compare`")

    def __rmul__(self, weight: float | Tensor) -> "Superposition":
        """Return the generator with a weight: a part of a superposition."""
        return weigh(weight, self)


def weigh(weight: float | Tensor, generator: Generator) -> "Superposition":
    """Return a generator as a forward part of a superposition."""
    return Superposition((Part(weight, generator),))


def stationary(generator: Generator) -> "Superposition":
    """Mark a generator that leaves the marginal distribution alone: it adds at any weight."""
    return Superposition((Part(1.0, generator, "stationary"),))


def backward(generator: Generator) -> "Superposition":
    """Mark a generator that solves the KFE backward in time."""
    return Superposition((Part(1.0, generator, "backward"),))


@dataclass(frozen=True)
class Superposition(Generator):
    """A weighted sum of generators.

    Example:
        >>> from feller.core.generators import Flow
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
        return self if type(other) is int and other == 0 else NotImplemented

    def __rmul__(self, weight: float | Tensor) -> "Superposition":
        """Weigh every part."""
        return Superposition(tuple(replace(p, weight=weight * p.weight) for p in self.parts))

    def apply(self, f: Callable[[Any], Tensor], x: Any) -> Tensor:
        """Return the weighted sum."""
        check_parts(self.leaves())
        factors = self.by_factor()
        if "" not in factors:
            return apply_factors(factors, f, x)
        return torch.stack([part.scaled().apply(f, x) for part in self.leaves()]).sum(0)

    def step(self, space: Any, x: Any, h: Any, rng: Rng) -> Any:
        """Step each part in turn, its weight on its rate."""
        check_parts(self.leaves())
        factors = self.by_factor()
        if "" not in factors:
            return step_factors(factors, space, x, h, rng)
        for part in self.leaves():
            x = part.scaled().step(space, x, h, rng)
        return x

    def average(self, weights: Tensor) -> "Superposition":
        """Average each part."""
        means = (replace(part, generator=part.generator.average(weights)) for part in self.parts)
        return Superposition(tuple(means))

    def scaled(self, weight: float | Tensor) -> "Superposition":
        """Weigh every part."""
        return weight * self

    def leaves(self) -> tuple[Part, ...]:
        """Return the parts, those that are sums themselves multiplied out."""
        found: list[Part] = []
        for part in self.parts:
            inner = part.generator.leaves()
            found += [replace(p, weight=part.weight * p.weight, role=_both(part, p)) for p in inner]
        return tuple(found)

    def by_factor(self) -> Mapping[str, Generator]:
        """Return the sum for each factor, where the parts are products."""
        leaves = [(part, part.generator.by_factor()) for part in self.leaves()]
        if not leaves or any("" in factors for _, factors in leaves):
            return {"": self}
        names = leaves[0][1]
        sums = {n: tuple(replace(p, generator=of[n]) for p, of in leaves) for n in names}
        return {name: Superposition(parts) for name, parts in sums.items()}

    def split(self) -> Split:
        """Return the sums of drifts and covariances, and the jumps of all parts."""
        leaves = self.leaves()
        check_parts(leaves)
        parts = [part.scaled().split() for part in leaves]
        return Split(
            _sum([p.drift for p in parts]),
            _sum([p.covariance for p in parts]),
            tuple(jump for p in parts for jump in p.jumps),
        )

    def compare(self, task: Any) -> dict[str, Tensor]:
        """Return the loss of each part by its kind, several of a kind numbered.

        Each is trained for itself.
        """
        found: dict[str, Tensor] = {}
        for part in self.parts:
            kind = type(part.generator).__name__.lower()
            same = sum(name.split(" ")[0] == kind for name in found)
            found[f"{kind} {same + 1}" if same else kind] = task.of_part(part)
        return found


def is_kind(generator: type[Generator], kinds: Iterable[type[Generator]]) -> bool:
    """Return whether a kind is one of others, or acts as those alone.

    Example:
        >>> from feller.core.generators import Flow, Jump
        >>> is_kind(Flow, [Flow, Jump]), is_kind(Flow, [Jump])
        (True, False)
    """
    known = tuple(kinds)
    if issubclass(generator, known):
        return True
    return bool(generator.acts_as) and all(is_kind(k, known) for k in generator.acts_as)


def is_sum(generator: Generator) -> bool:
    """Return whether a generator is a superposition, or stands for one."""
    leaves = generator.leaves()
    return len(leaves) != 1 or leaves[0].generator is not generator


def _both(outer: Part, inner: Part) -> Role:
    """Return the role of a part of a part."""
    if "stationary" in (outer.role, inner.role):
        return "stationary"
    return "forward" if outer.role == inner.role else "backward"


def _sum(terms: list[Tensor | None]) -> Tensor | None:
    there = [term for term in terms if term is not None]
    return sum(there[1:], start=there[0]) if there else None
