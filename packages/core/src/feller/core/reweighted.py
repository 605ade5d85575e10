"""Superpositions with other weights: a joint network under other weights than it was built with."""

from dataclasses import dataclass, field, replace
from typing import Any

from feller.core.derived import DerivedModel
from feller.core.generators import Generator, Superposition
from feller.core.heads import Kinds
from feller.core.weights import Weight, WeightLike, weight_of

__all__ = ["Reweighted"]


@dataclass(frozen=True)
class Reweighted(DerivedModel):
    """A model of a superposition, with new weights: a joint network in another mixture.

    The network is called once, however many parts there are.

    Attributes:
        model: A model whose generator is a superposition, in a fixed order of parts.
        weights: A weight for each part.
    """

    model: Any
    weights: tuple[WeightLike, ...]
    _weights: tuple[Weight, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the weights."""
        object.__setattr__(self, "_weights", tuple(map(weight_of, self.weights)))

    @property
    def kinds(self) -> Kinds:
        """The kinds of the parts that keep a weight; of all, where the model does not say."""
        parts = self.model.part_kinds()
        if len(parts) != len(self.weights):
            return self.model.kinds
        kept = (k for k, w in zip(parts, self._weights, strict=True) if not w.is_zero())
        return frozenset[type[Generator]]().union(*kept)

    def __call__(self, x: Any, t: Any, condition: Any = None) -> Superposition:
        """Return the superposition with the new weights; parts at weight 0 are left out.

        Raises:
            ValueError: When there are not as many weights as parts.
        """
        parts = self.model(x, t, condition).leaves()
        if len(parts) != len(self._weights):
            raise ValueError(
                f"{len(self._weights)} weights are for as many parts, not for {len(parts)}"
            )
        pairs = zip(parts, self._weights, strict=True)
        return Superposition(
            tuple(replace(part, weight=w.at(x, t)) for part, w in pairs if not w.is_zero())
        )
