"""Models: a network, a path, and a head that reads the network's output as a generator.

Networks turn tensors into tensors, heads turn tensors into values; losses, loops and files are
elsewhere.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from feller.core.algebra import SuperposedModel, Weight, weigh
from feller.core.checks import check_times
from feller.core.couplings import Coupling, set_coupling
from feller.core.generators import Generator
from feller.core.heads import FlowHead, Head, Kinds, ProductHead
from feller.core.paths import ConditionalPath, ProductPath
from feller.core.spaces import ProductSpace, StateSpace
from feller.core.times import factor_times
from feller.core.typing import Time

__all__ = ["GeneratorModel", "Model"]


@runtime_checkable
class Model(Protocol):
    """What solvers need: anything that returns a generator at (x, t) and says of which kinds.

    A model whose evaluations cost another number of network calls than one has a method
    `network_calls(t, condition)`; one that was trained with pairs that depend on each other has a
    `coupling`; one whose generators are finite at t = 1 says so by `finite_at_end`. One with
    `takes_next` is also called with s, the time at which the step ends, by solvers that take it in
    one piece.
    """

    @property
    def space(self) -> StateSpace | ProductSpace:
        """Where states live."""
        ...

    @property
    def kinds(self) -> Kinds:
        """The kinds of generator the model returns."""
        ...

    def __call__(self, x: Any, t: Any, condition: Any = None) -> Generator:
        """Return the generator at the states `x` and the time `t`; dicts, for a product."""
        ...


class GeneratorModel(nn.Module):
    """A network on a path, read as a generator.

    Args:
        network: Called with the state `(b, *event)`, a time of shape `(b,)` (or per element) and
            the condition. On a product path states, times and outputs are dicts. One that has
            `takes_next = True` (MeanFlow, flow maps) is called with the time s at which the step
            ends too, which is t where nobody steps.
        path: The conditional path it is trained on.
        head: How its output is read; a velocity when absent.
        coupling: How source samples and data are joined in training; independent if None.

    Example:
        >>> import torch
        >>> from feller.core.paths import GaussianPath
        >>> model = GeneratorModel(lambda x, t, condition: -x, GaussianPath())
        >>> model(torch.ones(1, 2), 0.5).velocity
        tensor([[-1., -1.]])
    """

    def __init__(
        self,
        network: Any,
        path: ConditionalPath | ProductPath,
        head: Head | ProductHead | None = None,
        coupling: Coupling | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.path = path
        self.head = FlowHead() if head is None else head
        if coupling is not None:
            set_coupling(self, coupling)

    @property
    def space(self) -> Any:
        """The space of the path."""
        return self.path.space

    @property
    def kinds(self) -> Kinds:
        """The kinds of generator the head returns."""
        return self.head.kinds

    @property
    def finite_at_end(self) -> bool:
        """Whether the generators are finite at t = 1, so that solvers may ask for them there."""
        return getattr(self.head, "finite_at_end", False)

    @property
    def takes_next(self) -> bool:
        """Whether the network asks for the time at which the step ends."""
        return getattr(self.network, "takes_next", False)

    def __rmul__(self, weight: Weight) -> SuperposedModel:
        """Return the model with a weight: a part of a superposition."""
        return weigh(weight, self)

    def forward(self, x: Any, t: Any, condition: Any = None, s: Any = None) -> Generator:
        """Return the generator at `x`, shape `(b, *event)`, and time `t`, for a step to `s`."""
        if isinstance(x, Mapping):
            of = factor_times(t, x)
            clock: Any = {name: _clock(of[name], x[name]) for name in x}
            cast = {name: self._cast(value) for name, value in x.items()}
            output: Any = {k: _single(v) for k, v in self.network(cast, clock, condition).items()}
        else:
            clock = _clock(t, x)
            told = (_clock(t if s is None else s, x),) if self.takes_next else ()
            output = _single(self.network(self._cast(x), clock, condition, *told))
        return self.head(self.path, output, x, clock)  # pyright: ignore[reportArgumentType]

    def _cast(self, x: Tensor) -> Tensor:
        """Return a state in the precision of the network; states themselves are single at least."""
        weight = next(self.network.parameters(), None) if _has_weights(self.network) else None
        if weight is None or not (x.is_floating_point() and weight.is_floating_point()):
            return x
        half = weight.dtype in (torch.float16, torch.bfloat16)
        return x.to(weight.dtype) if half else x


def _has_weights(network: Any) -> bool:
    return isinstance(network, nn.Module)


def _clock(t: Time, x: Tensor) -> Tensor:
    """Return a time as a tensor of one per sample, or as it is."""
    check_times(t)
    # Half precision would round times near 1 to 1, and velocities add up: both stay float32.
    dtype = torch.promote_types(x.dtype, torch.float32) if x.is_floating_point() else torch.float32
    clock = t if isinstance(t, Tensor) else torch.tensor(t, dtype=dtype, device=x.device)
    return clock.expand(len(x)) if clock.ndim == 0 else clock


def _single(output: Any) -> Tensor:
    """Return the output in single precision at least; refuse what is no tensor, such as a tuple."""
    if not isinstance(output, Tensor):
        raise ValueError(f"a network returns a tensor, not a {type(output).__name__}")
    if not output.is_floating_point():
        return output
    return output.to(torch.promote_types(output.dtype, torch.float32))
