r"""Product: each factor of a state moves by a generator of its own, :math:`L = \sum_i L^i`.

The conditional path factorises, so the KFE is solved factor by factor; each factor's marginal
generator sees all factors (Generator Matching, arXiv 2410.20587, proposition 4).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from feller.core.generators.base import Generator
from feller.core.generators.factors import apply_factors, step_factors
from feller.core.generators.parts import by_name
from feller.core.typing import Rng

__all__ = ["Product"]


@dataclass(frozen=True)
class Product(Generator):
    """Named generators, for states that are dicts of the same names.

    Example:
        >>> import torch
        >>> from feller.core.generators import Flow
        >>> x = {"a": torch.ones(1, 2), "b": torch.ones(1, 1)}
        >>> product = Product({"a": Flow(x["a"]), "b": Flow(2 * x["b"])})
        >>> product.apply(lambda x: x["a"].sum(-1) * x["b"].sum(-1), x)
        tensor([6.])
    """

    factors: Mapping[str, Generator]

    def apply(self, f: Callable[[Any], Tensor], x: Any) -> Tensor:
        """Return the sum over the factors of L^i f, the other factors held where they are."""
        return apply_factors(self.factors, f, x)

    def step(self, space: Any, x: Any, h: Any, rng: Rng) -> Any:
        """Step each factor; `h` is one time for all, or a time for each by name.

        Raises:
            ValueError: When the space or the state has other factors.
        """
        return step_factors(self.factors, space, x, h, rng)

    def average(self, weights: Tensor) -> "Product":
        """Average each factor."""
        return Product({name: g.average(weights) for name, g in self.factors.items()})

    def scaled(self, weight: float | Tensor) -> "Product":
        """Return the product at a multiple of every factor's rate."""
        return Product({name: g.scaled(weight) for name, g in self.factors.items()})

    def by_factor(self) -> Mapping[str, Generator]:
        """Return the factors."""
        return self.factors

    def compare(self, task: Any) -> dict[str, Tensor]:
        """Return the loss of each factor by its name, of a part of it by `factor/part`."""
        found = {}
        for name, generator in self.factors.items():
            for part, loss in by_name(generator.compare(task.of_factor(name))).items():
                found[f"{name}/{part}".rstrip("/")] = loss
        return found
