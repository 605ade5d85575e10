"""Products of spaces: a state is a dict of named factors, never a packed axis."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from feller.core.config import tagged
from feller.core.spaces.base import StateSpace

__all__ = ["ProductSpace"]


@tagged("product_space")
@dataclass(frozen=True)
class ProductSpace:
    """Named factors, each a `StateSpace` of its own.

    Example:
        >>> from feller.core.spaces import Euclidean, Tokens
        >>> sorted(ProductSpace({"position": Euclidean(1), "residue": Tokens(21)}).factors)
        ['position', 'residue']
    """

    factors: Mapping[str, StateSpace]

    def check(self, x: dict[str, Tensor]) -> None:
        """Raise unless `x` has exactly the factors of the space and each is valid."""
        if x.keys() != self.factors.keys():
            raise ValueError(f"a state has factors {sorted(self.factors)}, this one {sorted(x)}")
        for name, space in self.factors.items():
            try:
                space.check(x[name])
            except ValueError as error:
                raise ValueError(f"factor {name!r}: {error}") from None
