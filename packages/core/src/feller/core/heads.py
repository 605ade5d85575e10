"""Heads: how the output of a network is read as a generator.

A network returns numbers for each element of a state. As velocities they are a flow; as logits of
bins and a rate, a jump; as logits of data values, a posterior, which is every generator at once. A
head that reads more than one number an element takes them from a last axis that the output has
beyond the state's.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from feller.core.checks import check_range, check_weights
from feller.core.config import tagged
from feller.core.generators import (
    Atoms,
    Binned,
    Categorical,
    Destination,
    Diffusion,
    Flow,
    FromPosterior,
    Generator,
    Jump,
    Point,
    Superposition,
)
from feller.core.parametrizations import Parametrization, check_name, convert
from feller.core.paths import ConditionalPath, GaussianPath
from feller.core.solutions import event_rate, from_posterior, jump_clock, jump_support, solution
from feller.core.solutions.averages import refuse_vectors
from feller.core.solutions.rates import check_values
from feller.core.spaces import Manifold
from feller.core.times import expand_time, moving_time
from feller.core.typing import Time

__all__ = ["FlowHead", "Head", "JointHead", "JumpHead", "Kinds", "PosteriorHead"]

Kinds = frozenset[type[Generator]]


class Head(ABC):
    """A reading of a network's output.

    Attributes:
        kinds: The kinds of generator it returns.
        channels: Numbers it reads for each element; for one, the output has no last axis for them.
        finite_at_end: Whether what it returns is finite at t = 1, wherever the output is.
    """

    kinds: Kinds
    channels: int
    finite_at_end: bool = False

    @abstractmethod
    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Generator:
        """Return the generator that `output` stands for at (x, t)."""

    def estimate(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Destination:
        """Return where the output says the data are: a distribution of each element.

        Raises:
            LookupError: For a head that does not say.
        """
        raise LookupError(f"a {type(self).__name__} does not say where the data are")


@tagged("flow_head")
@dataclass(frozen=True)
class FlowHead(Head):
    """The output is a velocity, or what determines it on the Gaussian path."""

    prediction: Parametrization = "velocity"
    kinds: ClassVar[Kinds] = frozenset({Flow})
    channels: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse an unknown prediction."""
        check_name(self.prediction)

    @property
    def finite_at_end(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the output is the velocity itself; the others divide by sigma, which is 0."""
        return self.prediction == "velocity"

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Flow:
        """Convert the output to a velocity; on a manifold, take its tangent part.

        Raises:
            ValueError: When the output has not the shape of the state, or the prediction is no
                velocity and the path not Gaussian.
        """
        _check_shape(output, x.shape)
        if isinstance(path, GaussianPath):
            t = moving_time(t)
            return Flow(convert(output, (self.prediction, "velocity"), path.schedule, x, t))
        if self.prediction != "velocity" or not isinstance(path.space, Manifold):
            raise ValueError(f"{self.prediction} of a {type(path).__name__} gives no velocity")
        return Flow(path.space.project_tangent(x, output))

    def estimate(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Point:
        """Return the mean of the data, on the Gaussian path.

        Raises:
            LookupError: On another path.
        """
        if not isinstance(path, GaussianPath):
            raise LookupError(f"a velocity of a {type(path).__name__} gives no mean of the data")
        pair = (self.prediction, "x_1")
        return Point(convert(output, pair, path.schedule, x, moving_time(t)))


@tagged("jump_head")
@dataclass(frozen=True)
class JumpHead(Head):
    """The output `(b, *event, bins + 1)` is the logits of bins and a rate, for each coordinate.

    The intensity is softplus of the last number times the path's own rate of events, which grows
    like 1 / (1 - t), so that the number stays of order one. The bins span all that conditional
    jumps can reach from data in `data`: on the CondOT path 1.618 times as far. Source: Generator
    Matching, arXiv 2410.20587, appendix F.

    Attributes:
        bins: How many.
        data: Where data lie, coordinate by coordinate.
    """

    bins: int = 64
    data: tuple[float, float] = (-1.0, 1.0)
    kinds: ClassVar[Kinds] = frozenset({Jump})

    def __post_init__(self) -> None:
        """Refuse bins that are none."""
        if self.bins < 1:
            raise ValueError(f"bins is at least 1, not {self.bins}")
        check_range(self.data)

    @property
    def channels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of bins, and one for the rate."""
        return self.bins + 1

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Jump:
        """Return the jump to the bins.

        Raises:
            LookupError: Where elements are vectors.
            ValueError: On tokens, when the output has other channels or bins leave the space.
        """
        refuse_vectors(path)
        if path.space.is_discrete:
            raise ValueError("jump_head reads bins of numbers; for tokens there is posterior_head")
        _check_shape(output, (*x.shape, self.channels))
        edges = torch.linspace(
            *_support(path, self.data), self.bins + 1, dtype=output.dtype, device=output.device
        )
        rate = torch.nn.functional.softplus(output[..., -1])
        time = expand_time(moving_time(t), rate)
        law = Binned(output[..., :-1], edges)
        return Jump(event_rate(path, time) * rate, law, jump_clock(path, time))


@tagged("posterior_head")
@dataclass(frozen=True)
class PosteriorHead(Head):
    """The output `(b, *event, levels)` is the logits of the data value of each element.

    Whatever the path has solutions for follows from the posterior: a flow, a diffusion, a jump, and
    any superposition of them. On tokens the values are the tokens and there is the jump; on numbers
    they are equidistant on `data`.

    Attributes:
        levels: The number of values.
        flow: The weight of the flow.
        diffusion: The weight of the diffusion.
        jump: The weight of the jump.
        data: The least and the largest value, on numbers.
    """

    levels: int
    flow: float = 0.0
    diffusion: float = 0.0
    jump: float = 1.0
    data: tuple[float, float] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        """Refuse weights and values that are none."""
        check_weights("flow, diffusion and jump", (self.flow, self.diffusion, self.jump))
        if self.levels < 2:
            raise ValueError(f"levels is at least 2, not {self.levels}")
        check_range(self.data)

    @property
    def channels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of values."""
        return self.levels

    @property
    def kinds(self) -> Kinds:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The kinds that have a weight."""
        return frozenset(self._weights)

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> FromPosterior:
        """Return the superposition that the posterior stands for.

        Raises:
            LookupError: When the path has no solution of a kind that has a weight, and where
                elements are vectors.
            ValueError: When the output has other channels, or values are not in the space.
        """
        check_values(path, self.levels, self.data)
        _check_shape(output, (*x.shape, self.levels))
        for kind in self._weights:  # now, not when it is simulated after days of training
            solution(path, kind)

        def build(posterior: Destination) -> Superposition:
            parts = (w * from_posterior(path, k, x, t, posterior) for k, w in self._weights.items())
            return sum(parts, start=Superposition(()))

        return FromPosterior(self.estimate(path, output, x, t), build)

    def estimate(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Destination:
        """Return the posterior."""
        if path.space.is_discrete:
            return Categorical(output)
        values = torch.linspace(*self.data, self.levels, dtype=output.dtype, device=output.device)
        return Atoms(output, values)

    @property
    def _weights(self) -> dict[type[Generator], float]:
        named = {Flow: self.flow, Diffusion: self.diffusion, Jump: self.jump}
        return {kind: weight for kind, weight in named.items() if weight}


@tagged("joint_head")
@dataclass(frozen=True)
class JointHead(Head):
    """Several heads on one network: its output's last axis is shared out among them.

    Trained, each part learns its own generator; simulated, they are a superposition.

    Attributes:
        heads: The heads.
        weights: The weight of each when simulated; they sum to one.
    """

    heads: tuple[Head, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse weights that are none."""
        if len(self.weights) != len(self.heads):
            raise ValueError(f"{len(self.heads)} heads have a weight each, not {self.weights}")
        check_weights("weights", self.weights)

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
        _check_shape(output, (*x.shape, self.channels))
        shares = output.split([head.channels for head in self.heads], dim=-1)
        parts = (
            weight * head(path, share.squeeze(-1) if head.channels == 1 else share, x, t)
            for head, weight, share in zip(self.heads, self.weights, shares, strict=True)
        )
        return sum(parts, start=Superposition(()))


def _check_shape(output: Tensor, due: Sequence[int]) -> None:
    if (given := tuple(output.shape)) != tuple(due):
        raise ValueError(f"the head reads an output {tuple(due)}, the network gave {given}")


def _support(path: ConditionalPath, data: tuple[float, float]) -> tuple[float, float]:
    """Return where jumps land: numbers that a graph holds, not computes."""
    return jump_support(path, data)


# What torch.compiler.assume_constant_result sets, without its import of the whole compiler.
_support._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]
