r"""Generators: how a Markov process moves, at one time and at given states.

The generator of :math:`X_t` is :math:`\mathcal{L}_t f(x) = \lim_{h \to 0} (E[f(X_{t+h}) | X_t = x]
- f(x)) / h`. On R^d it is a drift, a diffusion and a jump; on a finite set, a rate matrix. A
`Generator` here is a value: what a model returns at (x, t).

Source: Generator Matching, arXiv 2410.20587, theorem 1.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor

from feller.core.spaces import StateSpace
from feller.core.typing import Rng, Time

__all__ = ["Generator"]


class Generator(ABC):
    """A generator at a batch of states and one time."""

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

        They have the shape `(b, k)`, or `(b, k, *event)` where each element has a law of its own.
        The marginal generator is this mean of conditional ones under the posterior (proposition 1).
        """

    def __rmul__(self, weight: float | Tensor) -> Any:  # a Superposition
        """Return the generator with a weight: a part of a superposition."""
        # The algebra is built of generators, so it cannot be imported before them.
        from feller.core.generators.combine import weigh

        return weigh(weight, self)
