"""Heads: how the output of a network is read as a generator.

A network returns numbers for each element of a state. As velocities they are a flow; as logits of
bins and a rate, a jump; as logits of data values, a posterior, which is every generator at once. A
head that reads more than one number an element takes them from a last axis that the output has
beyond the state's.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from feller.core.checks import check_weights
from feller.core.config import tagged
from feller.core.generators import Destination, Flow, Generator, Point, Role, Superposition
from feller.core.parametrizations import Parametrization, check_name
from feller.core.paths import ConditionalPath
from feller.core.times import moving_time
from feller.core.typing import Time

__all__ = ["FlowHead", "Head", "JointHead", "Kinds", "check_output"]

Kinds = frozenset[type[Generator]]


class Head(ABC):
    """A reading of a network's output.

    Attributes:
        kinds: The kinds of generator it returns.
        channels: Numbers it reads for each element; for one, the output has no last axis for them.
        role: What its generator does to the marginal path.
        finite_at_end: Whether what it returns is finite at t = 1, wherever the output is.
        divides_by_alpha: Whether it can return nothing where a state holds no data, as at t = 0.
    """

    kinds: Kinds
    channels: int
    finite_at_end: bool = False
    divides_by_alpha: bool = False
    role: ClassVar[Role] = "forward"

    @abstractmethod
    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Generator:
        """Return the generator that `output` stands for at (x, t)."""

    def part_kinds(self) -> tuple[Kinds, ...]:
        """Return the kinds of each part, where it returns a sum of parts."""
        return (self.kinds,)

    def estimate(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Destination:
        """Return where the output says the data are: a distribution of each element.

        Raises:
            LookupError: For a head that does not say.
        """
        raise LookupError(f"a {type(self).__name__} does not say where the data are")


@tagged("flow_head")
@dataclass(frozen=True)
class FlowHead(Head):
    """The output is a velocity, or a quantity that determines it on the path.

    Attributes:
        prediction: What the network returns: velocity, x_1, noise, score or v.
    """

    prediction: Parametrization = "velocity"
    kinds: ClassVar[Kinds] = frozenset({Flow})
    channels: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the prediction."""
        check_name(self.prediction)

    @property
    def finite_at_end(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the output is the velocity itself; the others divide by sigma, which is 0."""
        return self.prediction == "velocity"

    @property
    def divides_by_alpha(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the output is the noise, or the score, which say nothing of the data there."""
        return self.prediction in ("noise", "score")

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Flow:
        """Convert the output to a velocity; on a manifold, take its tangent part.

        Raises:
            ValueError: When the output has not the shape of the state, or the prediction determines
                no velocity on the path.
        """
        check_output(output, x.shape)
        space: Any = path.space
        if not space.is_manifold:
            raise ValueError(f"{self.prediction} of a {type(path).__name__} gives no velocity")
        velocity = path.convert(output, self.prediction, "velocity", x, moving_time(t))
        return Flow(space.project_tangent(x, velocity))

    def estimate(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Point:
        """Return the mean of the data, on the Gaussian path.

        Raises:
            LookupError: On a path where the prediction does not determine it.
        """
        try:
            return Point(path.convert(output, self.prediction, "x_1", x, moving_time(t)))
        except ValueError as error:
            raise LookupError(f"no mean of the data: {error}") from None


@tagged("joint_head")
@dataclass(frozen=True)
class JointHead(Head):
    """Several heads on one network: its output's last axis is divided among them.

    Trained, each part learns its own generator; simulated, they are a superposition.

    Attributes:
        heads: The heads.
        weights: The weight of each when simulated; those of forward heads sum to one.
    """

    heads: tuple[Head, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that the weights make a superposition."""
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
        return frozenset[type[Generator]]().union(*self.part_kinds())

    @property
    def divides_by_alpha(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether one of them does."""
        return any(head.divides_by_alpha for head in self.heads)

    def part_kinds(self) -> tuple[Kinds, ...]:
        """Return the kinds of each head."""
        return tuple(head.kinds for head in self.heads)

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


def check_output(output: Tensor, due: Sequence[int]) -> None:
    """Reject an output of another shape than is due.

    Raises:
        ValueError: When it is not.
    """
    if (given := tuple(output.shape)) != tuple(due):
        raise ValueError(f"the head reads an output {tuple(due)}, the network gave {given}")
