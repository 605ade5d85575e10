"""The head of a product state: a head for each factor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from feller.core.config import tagged
from feller.core.generators import Destination, Product
from feller.core.heads.base import Head, Kinds
from feller.core.times import factor_times

__all__ = ["ProductHead"]

Tensors = Mapping[str, Tensor]


@tagged("product_head")
@dataclass(frozen=True)
class ProductHead:
    """A head for each factor of a product state: outputs, states and times are dicts.

    Attributes:
        heads: The heads by the names of the factors.
    """

    heads: Mapping[str, Head]
    kinds: ClassVar[Kinds] = frozenset({Product})

    @property
    def finite_at_end(self) -> bool:
        """Whether what every head returns is finite at t = 1."""
        return all(head.finite_at_end for head in self.heads.values())

    def part_kinds(self) -> tuple[Kinds, ...]:
        """Return the one kind."""
        return (self.kinds,)

    def __call__(self, path: Any, output: Tensors, x: Tensors, t: Any) -> Product:
        """Return the product of what each head reads.

        Raises:
            ValueError: When the network's outputs have other names.
        """
        clocks = self._clocks(output, t)
        return Product(
            {
                name: head(path.factors[name], output[name], x[name], clocks[name])
                for name, head in self.heads.items()
            }
        )

    def estimate(self, path: Any, output: Tensors, x: Tensors, t: Any) -> dict[str, Destination]:
        """Return where each factor of the data is, by its head.

        Raises:
            LookupError: When a head does not say.
            ValueError: When the network's outputs have other names.
        """
        clocks = self._clocks(output, t)
        return {
            name: head.estimate(path.factors[name], output[name], x[name], clocks[name])
            for name, head in self.heads.items()
        }

    def _clocks(self, output: Tensors, t: Any) -> dict[str, Any]:
        if output.keys() != self.heads.keys():
            raise ValueError(f"heads read {sorted(self.heads)}, the network gave {sorted(output)}")
        return factor_times(t, self.heads)
