"""What training makes small, and sums of it: `Objective() + 0.1 * mine` is a loss.

Losses add and multiply like generators do. Each term of a sum has a name, under which its mean
stands in the log of a training run; the sum is saved in the run's recipe.
"""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.config import tag_of, tagged
from feller.core.models import Model

__all__ = ["Loss", "LossSum", "LossTerm", "Sample", "check_path"]


class Sample(NamedTuple):
    """What a loss is taken at.

    Attributes:
        z: The conditioning variable, batch first.
        t: The times.
        x_t: The states, drawn given both.
    """

    z: Any
    t: Any
    x_t: Any


class Loss(ABC):
    """What training makes small: the loss of each sample at (x_t, t)."""

    @abstractmethod
    def __call__(
        self, model: Model, path: Any, z: Any, t: Any, x_t: Any, *, condition: Any = None
    ) -> Float[Tensor, " b"]:
        """Return the loss of each sample, given the data point z it comes from.

        States, data and times of a product are dicts.
        """

    def by_part(self, *sample: Any, condition: Any = None) -> dict[str, Float[Tensor, " b"]]:
        """Return what the loss is the sum of, by name, weights included.

        Args:
            sample: What the loss is called with: model, path, z, t and x_t.
            condition: The condition.

        Returns:
            The losses of each sample; of a loss without parts, itself under the empty name.
        """
        return {"": self(*sample, condition=condition)}

    def terms(self) -> tuple["LossTerm", ...]:
        """Return the terms of a sum; of any other loss, itself at weight 1 under its own name."""
        return (LossTerm(self),)

    def named(self, name: str) -> "LossSum":
        """Return the loss under another name.

        Example:
            >>> from feller.core.losses import Objective
            >>> total = Objective() + 0.1 * Objective(loss_space="x_1").named("data")
            >>> [(term.name, term.weight) for term in total.parts]
            [('objective', 1.0), ('data', 0.1)]
        """
        return LossSum((LossTerm(self, name=name),))

    def __add__(self, other: "Loss") -> "LossSum":
        """Return the sum of two losses, whose terms keep their names."""
        return LossSum(self.terms() + other.terms())

    def __radd__(self, other: int) -> "LossSum":
        """Let `sum` begin at 0."""
        return LossSum(self.terms()) if other == 0 else NotImplemented

    def __rmul__(self, weight: float) -> "LossSum":
        """Return a multiple of the loss."""
        return LossSum(tuple(replace(t, weight=weight * t.weight) for t in self.terms()))


@tagged("loss_term")
@dataclass(frozen=True)
class LossTerm:
    """A weighted loss in a sum.

    Attributes:
        loss: The loss.
        weight: The weight.
        name: Its name in the log; if empty, the name of its type in recipes.
    """

    loss: Loss
    weight: float = 1.0
    name: str = ""

    def __post_init__(self) -> None:
        """Name the term."""
        object.__setattr__(self, "name", self.name or tag_of(self.loss).rsplit("/", 1)[-1])


@tagged("loss_sum")
@dataclass(frozen=True)
class LossSum(Loss):
    """A weighted sum of losses; each calls the model itself.

    Attributes:
        parts: The terms.

    Raises:
        ValueError: Without terms, and when two have one name.
    """

    parts: tuple[LossTerm, ...]

    def __post_init__(self) -> None:
        """Reject no terms, and names that are not one term's own."""
        if not self.parts:
            raise ValueError("a sum of losses has at least one term")
        ((name, count),) = Counter(term.name for term in self.parts).most_common(1)
        if count > 1:
            raise ValueError(
                f"{count} losses of the sum are called {name!r}: name one, as in mine.named('mine')"
            )

    def __call__(
        self, model: Model, path: Any, z: Any, t: Any, x_t: Any, *, condition: Any = None
    ) -> Float[Tensor, " b"]:
        """Return the weighted sum of the losses of each sample."""
        parts = self.by_part(model, path, z, t, x_t, condition=condition)
        return torch.stack([*parts.values()]).sum(0)

    def by_part(self, *sample: Any, condition: Any = None) -> dict[str, Float[Tensor, " b"]]:
        """Return each term at its weight; parts of a part are named `term/part`.

        Raises:
            ValueError: When two have the same name.
        """
        found = {}
        for term in self.parts:
            for inner, loss in term.loss.by_part(*sample, condition=condition).items():
                name = f"{term.name}/{inner}".rstrip("/")
                if name in found:
                    raise ValueError(f"two parts of the sum are called {name!r}: rename one")
                found[name] = term.weight * loss
        return found

    def terms(self) -> tuple[LossTerm, ...]:
        """Return the terms."""
        return self.parts


def check_path(model: Any, path: Any) -> None:
    """Reject a path that is not the model's: it would be trained to follow another than it says.

    Raises:
        ValueError: When the model has another path.

    Example:
        >>> import torch
        >>> from feller.core.paths import GaussianPath
        >>> check_path(torch.nn.Identity(), GaussianPath())  # has no path
    """
    own = getattr(getattr(model, "module", model), "path", None)  # a process group wraps it
    if own is not None and own != path:
        raise ValueError(
            f"the model is on {own}, and the loss was given {path}: give it model.path"
        )
