"""Models made from another, such as a guided one, with the path and cost of the other."""

from abc import ABC
from typing import Any

from feller.core.algebra import Model
from feller.core.couplings import Coupling
from feller.core.heads import Kinds

__all__ = ["DerivedModel"]


class DerivedModel(Model, ABC):
    """A model made from another, with the same path, kinds and cost.

    Attributes:
        model: The other.
    """

    model: Any

    @property
    def path(self) -> Any:
        """The path of the model."""
        return self.model.path

    @property
    def space(self) -> Any:
        """The space of the model."""
        return self.model.space

    @property
    def coupling(self) -> Coupling:
        """The coupling that the model was trained with."""
        return self.model.coupling

    @property
    def kinds(self) -> Kinds:
        """The kinds of the model."""
        return self.model.kinds

    def network_calls(self, t: Any, condition: Any = None) -> int:
        """Return the network calls of the model."""
        return self.model.network_calls(t, condition)

    def part_kinds(self) -> tuple[Kinds, ...]:
        """Return the kinds of each part of the model."""
        return self.model.part_kinds()

    def unconditional(self, condition: Any) -> Any:
        """Return what says nothing to the model in place of a condition."""
        return self.model.unconditional(condition)
