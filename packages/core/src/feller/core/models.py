"""Models: a network, a path, and a head that reads the network's output as a generator.

Networks turn tensors into tensors, heads turn tensors into values; losses, loops and files are
elsewhere.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from feller.core.config import tagged
from feller.core.generators import Flow, Generator
from feller.core.parametrizations import Parametrization, convert
from feller.core.paths import ConditionalPath, GaussianPath
from feller.core.spaces import Manifold, StateSpace
from feller.core.typing import Time

__all__ = ["FlowHead", "GeneratorModel", "Head", "Model"]

Kinds = frozenset[type[Generator]]


@runtime_checkable
class Model(Protocol):
    """What solvers need: anything that returns a generator at (x, t) and says of which kinds.

    A model whose evaluations cost more than one network call has a method `network_calls(t)`.
    """

    @property
    def space(self) -> StateSpace:
        """Where states live."""
        ...

    @property
    def kinds(self) -> Kinds:
        """The kinds of generator the model returns."""
        ...

    def __call__(self, x: Tensor, t: Time, condition: Any = None) -> Generator:
        """Return the generator at the states `x` and the time `t`."""
        ...


class Head(ABC):
    """A reading of a network's output."""

    kinds: ClassVar[Kinds]

    @abstractmethod
    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Generator:
        """Return the generator that `output` stands for at (x, t)."""


@tagged("flow_head")
@dataclass(frozen=True)
class FlowHead(Head):
    """The output is a velocity, or what determines it on the Gaussian path."""

    prediction: Parametrization = "velocity"
    kinds: ClassVar[Kinds] = frozenset({Flow})

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Flow:
        """Convert the output to a velocity; on a manifold, take its tangent part.

        Raises:
            ValueError: When the prediction is no velocity and the path not Gaussian.
        """
        if isinstance(path, GaussianPath):
            return Flow(convert(output, (self.prediction, "velocity"), path.schedule, x, t))
        if self.prediction != "velocity" or not isinstance(path.space, Manifold):
            raise ValueError(f"{self.prediction} of a {type(path).__name__} gives no velocity")
        return Flow(path.space.project_tangent(x, output))


class GeneratorModel(nn.Module):
    """A network on a path, read as a generator.

    Args:
        network: Called with the state `(b, *event)`, a time of shape `(b,)` (or per element) and
            the condition.
        path: The conditional path it is trained on.
        head: How its output is read.

    Example:
        >>> import torch
        >>> from feller.core.paths import GaussianPath
        >>> model = GeneratorModel(lambda x, t, condition: -x, GaussianPath())
        >>> model(torch.ones(1, 2), 0.5).velocity
        tensor([[-1., -1.]])
    """

    def __init__(self, network: Any, path: ConditionalPath, head: Head | None = None) -> None:
        super().__init__()
        self.network = network
        self.path = path
        self.head = FlowHead() if head is None else head

    @property
    def space(self) -> StateSpace:
        """The space of the path."""
        return self.path.space

    @property
    def kinds(self) -> Kinds:
        """The kinds of generator the head returns."""
        return self.head.kinds

    def forward(self, x: Tensor, t: Time, condition: Any = None) -> Generator:
        """Return the generator at `x`, shape `(b, *event)`, and time `t`."""
        # Half precision would round times near 1 to 1, and velocities add up: both stay float32.
        single = torch.promote_types(x.dtype, torch.float32)
        clock = t if isinstance(t, Tensor) else torch.tensor(t, dtype=single, device=x.device)
        clock = clock.expand(len(x)) if clock.ndim == 0 else clock
        output = self.network(x, clock, condition)
        if output.is_floating_point():
            output = output.to(torch.promote_types(output.dtype, torch.float32))
        return self.head(self.path, output, x, clock)
