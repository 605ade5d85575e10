"""Heads: how the output of a network is read as a generator.

A network returns numbers for each element of a state. As velocities they are a flow; as logits of
bins and a rate, a jump; as logits of data values, a posterior, which is every generator at once. A
head that reads more than one number an element takes them from a last axis that the output has
beyond the state's.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from feller.core.checks import check_weights
from feller.core.config import tagged
from feller.core.generators import (
    Flow,
    Generator,
    Product,
    Role,
    Superposition,
)
from feller.core.parametrizations import Parametrization, check_name
from feller.core.paths import ConditionalPath, ProductPath
from feller.core.spaces import Manifold
from feller.core.times import factor_times, moving_time
from feller.core.typing import Time

__all__ = ["FlowHead", "Head", "JointHead", "Kinds", "ProductHead", "check_output"]

Kinds = frozenset[type[Generator]]


class Head(ABC):
    """A reading of a network's output.

    Attributes:
        kinds: The kinds of generator it returns.
        channels: Numbers it reads for each element; for one, the output has no last axis for them.
        role: What its generator does to the marginal path.
    """

    kinds: Kinds
    channels: int
    role: ClassVar[Role] = "forward"

    @abstractmethod
    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Generator:
        """Return the generator that `output` stands for at (x, t)."""


@tagged("flow_head")
@dataclass(frozen=True)
class FlowHead(Head):
    """The output is a velocity, or what tells it on the path."""

    prediction: Parametrization = "velocity"
    kinds: ClassVar[Kinds] = frozenset({Flow})
    channels: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse an unknown prediction."""
        check_name(self.prediction)

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Flow:
        """Convert the output to a velocity; on a manifold, take its tangent part.

        Raises:
            ValueError: When the output has not the shape of the state, or the prediction tells no
                velocity on the path.
        """
        check_output(output, x.shape)
        if not isinstance(path.space, Manifold):
            raise ValueError(f"{self.prediction} of a {type(path).__name__} gives no velocity")
        velocity = path.convert(output, self.prediction, "velocity", x, moving_time(t))
        return Flow(path.space.project_tangent(x, velocity))


@tagged("joint_head")
@dataclass(frozen=True)
class JointHead(Head):
    """Several heads on one network: its output's last axis is shared out among them.

    Trained, each part learns its own generator; simulated, they are a superposition.

    Attributes:
        heads: The heads.
        weights: The weight of each when simulated; those of forward heads sum to one.
    """

    heads: tuple[Head, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse weights that make no superposition."""
        if len(self.weights) != len(self.heads):
            raise ValueError(f"{len(self.heads)} heads have a weight each, not {self.weights}")
        pairs = list(zip(self.heads, self.weights, strict=True))
        check_weights("weights", tuple(w for head, w in pairs if head.role == "forward"))
        if min(self.weights) < 0:
            raise ValueError(f"weights are at least 0, not {self.weights}")

    @property
    def channels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The numbers of all heads."""
        return sum(head.channels for head in self.heads)

    @property
    def kinds(self) -> Kinds:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The kinds of all heads."""
        return frozenset[type[Generator]]().union(*(head.kinds for head in self.heads))

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Superposition:
        """Return the superposition of what each head reads.

        Raises:
            ValueError: When the output has other channels.
        """
        check_output(output, (*x.shape, self.channels))
        pieces = output.split([head.channels for head in self.heads], dim=-1)
        parts = (
            weight * head(path, piece.squeeze(-1) if head.channels == 1 else piece, x, t)
            for head, weight, piece in zip(self.heads, self.weights, pieces, strict=True)
        )
        return sum(parts, start=Superposition(()))


@tagged("product_head")
@dataclass(frozen=True)
class ProductHead:
    """A head for each factor of a product state: outputs, states and times are dicts.

    Attributes:
        heads: The heads by the names of the factors.
    """

    heads: Mapping[str, Head]
    kinds: ClassVar[Kinds] = frozenset({Product})

    def __call__(
        self, path: ProductPath, output: Mapping[str, Tensor], x: Mapping[str, Tensor], t: Any
    ) -> Product:
        """Return the product of what each head reads.

        Raises:
            ValueError: When the network's outputs have other names.
        """
        if output.keys() != self.heads.keys():
            raise ValueError(f"heads read {sorted(self.heads)}, the network gave {sorted(output)}")
        clocks = factor_times(t, self.heads)
        return Product(
            {
                name: head(path.factors[name], output[name], x[name], clocks[name])
                for name, head in self.heads.items()
            }
        )


def check_output(output: Tensor, due: Sequence[int]) -> None:
    """Refuse an output of another shape than is due.

    Raises:
        ValueError: When it is not.
    """
    if (given := tuple(output.shape)) != tuple(due):
        raise ValueError(f"the head reads an output {tuple(due)}, the network gave {given}")
