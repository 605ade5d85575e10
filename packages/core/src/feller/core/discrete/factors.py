"""Factors of a product state: one of them as a model of its own, the others as its condition.

So residues of a protein, or labels beside numbers, get what chains of tokens have: exact draws and
first hitting with `feller.core.discrete.solvers.ByFactor`, evidence bounds given the other factors
with `feller.core.likelihood.elbo`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from feller.core.derived import DerivedModel
from feller.core.discrete.models import rows_of
from feller.core.generators import Generator
from feller.core.heads import Kinds

__all__ = ["Beside", "Factor"]


class Beside(NamedTuple):
    """The other factors of a product state, and the condition: what a `Factor` is given.

    Attributes:
        states: The state of each other factor by name, `(b, *event)`.
        times: The time of each: a number, or one a sample or element; 1 where it is data.
        condition: Passed to the model.
        seen: States of the factor for which the answer is known, `(b, n)`.
        logits: That answer `(b, n, k)`, which costs no call.
    """

    states: Mapping[str, Tensor]
    times: Mapping[str, Any]
    condition: Any = None
    seen: Int[Tensor, "b n"] | None = None
    logits: Float[Tensor, "b n k"] | None = None

    def rows(self, index: Int[Tensor, " r"]) -> "Beside":
        """Return some rows of a batch."""
        states, times = ({k: rows_of(v, index) for k, v in d.items()} for d in self[:2])
        return Beside(states, times, *(rows_of(part, index) for part in self[2:]))


@dataclass(frozen=True)
class Factor(DerivedModel):
    """A factor of a model on a product space, whose condition is a `Beside`.

    Attributes:
        model: The model of the product.
        name: The factor.

    Raises:
        LookupError: When there is no such factor.

    Example:
        >>> import torch
        >>> from feller.core.generators import Flow
        >>> from feller.core.paths import GaussianPath, ProductPath
        >>> from feller.core.posteriors import FiniteProductData
        >>> path = ProductPath({"a": GaussianPath(), "b": GaussianPath()})
        >>> points = {"a": torch.ones(1, 1), "b": torch.ones(1, 1)}
        >>> model = FiniteProductData(path, {"a": Flow, "b": Flow}, points)
        >>> beside = Beside({"b": torch.ones(1, 1)}, {"b": 0.5})
        >>> Factor(model, "a")(torch.zeros(1, 1), 0.5, beside).velocity
        tensor([[2.]])
    """

    model: Any
    name: str

    def __post_init__(self) -> None:
        """Reject a name that the path does not have."""
        if self.name not in self.model.path.factors:
            known = ", ".join(self.model.path.factors)
            raise LookupError(f"there is no factor {self.name!r} of the state; there are {known}")

    @property
    def path(self) -> Any:
        """The path of the factor."""
        return self.model.path.factors[self.name]

    @property
    def space(self) -> Any:
        """The space of the factor."""
        return self.path.space

    @property
    def kinds(self) -> Kinds:
        """Any kind: what a product returns for a factor is known when it is asked."""
        return frozenset()

    def __call__(self, x: Tensor, t: Any, condition: Any = None) -> Generator:
        """Return the generator of the factor at `x` and time `t`, beside the others."""
        states, times = {**condition.states, self.name: x}, {**condition.times, self.name: t}
        return self.model(states, times, condition.condition).by_factor()[self.name]

    @property
    def estimate(self) -> Any:
        """Return where the data of the factor are, given `x` at time `t`; None if nothing says."""
        if (whole := getattr(self.model, "estimate", None)) is None:
            return None

        def of_factor(x: Tensor, t: Any, condition: Any = None) -> Any:
            states, times = {**condition.states, self.name: x}, {**condition.times, self.name: t}
            return whole(states, times, condition.condition)[self.name]

        return of_factor

    def network_calls(self, t: Any, condition: Any = None) -> int:
        """Return the network calls of an answer: those of the product."""
        return self.model.network_calls(t, condition.condition)
