"""A generator that stands for a posterior, and is built only when it has to move.

Given the distribution of the data at x_t, element by element, every generator of a path follows: a
network that classifies is a flow, a diffusion, a jump and all their superpositions at once.
Training compares posteriors, so the generators behind them are built when a solver asks, not
before.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from feller.core.generators.base import Generator
from feller.core.generators.destinations import Destination
from feller.core.generators.parts import Part, Split
from feller.core.spaces import StateSpace
from feller.core.typing import Rng, Time

__all__ = ["FromPosterior"]


@dataclass(frozen=True)
class FromPosterior(Generator):
    """What a posterior means for a path.

    Attributes:
        posterior: The distribution of the data given x_t, one for each element.
        build: Turns the posterior into the generator.
    """

    posterior: Destination
    build: Callable[[Destination], Generator]
    _built: list[Generator] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def generator(self) -> Generator:
        """The generator, built at the first use."""
        # Not a cached_property, whose lock on Python 3.11 no graph can hold.
        if not self._built:
            self._built.append(self.build(self.posterior))
        return self._built[0]

    def apply(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return L f(x) of the generator."""
        return self.generator.apply(f, x)

    def step(self, space: StateSpace, x: Tensor, h: Time, rng: Rng) -> Tensor:
        """Step the generator."""
        return self.generator.step(space, x, h, rng)

    def average(self, weights: Tensor) -> Generator:
        """Average the generator."""
        return self.generator.average(weights)

    def scaled(self, weight: float | Tensor) -> Generator:
        """Return a multiple of the generator."""
        return self.generator.scaled(weight)

    def leaves(self) -> tuple[Part, ...]:
        """Return the parts of the generator."""
        return self.generator.leaves()

    def split(self) -> Split:
        """Return drift, covariance and jumps of the generator."""
        return self.generator.split()

    def compare(self, task: Any) -> Tensor:
        """Return the divergence of the posteriors; the generator is not built."""
        return task.posterior(self.posterior)
