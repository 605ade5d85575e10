"""Models: a network, a path, and a head that reads the network's output as a generator.

Networks map tensors to tensors, heads map tensors to generators; losses, loops and files are
elsewhere.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from feller.core.algebra import Model
from feller.core.checks import check_times
from feller.core.couplings import Coupling, set_coupling
from feller.core.generators import Generator
from feller.core.heads import FlowHead, Head, Kinds, ProductHead
from feller.core.times import factor_times
from feller.core.typing import Time

__all__ = ["GeneratorModel", "Model", "takes_condition"]


class GeneratorModel(nn.Module, Model):
    """A network on a path, read as a generator.

    Args:
        network: Called with the state `(b, *event)`, a time of shape `(b,)` (or per element) and
            the condition; without the condition if it takes only two arguments. On a product path
            states, times and outputs are dicts. One with `takes_next = True` (MeanFlow, flow maps)
            is also called with the time s at which the step ends, which is t outside of steps.
        path: The conditional path it is trained on; of a product state, one for each factor.
        head: How its output is read; a velocity by default.
        coupling: How source samples are paired with data in training; independent if None.

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
        path: Any,
        head: Head | ProductHead | None = None,
        coupling: Coupling | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.path = path
        self.head = FlowHead() if head is None else head
        self._conditional = takes_condition(network)
        if coupling is not None:
            set_coupling(self, coupling)

    @property
    def kinds(self) -> Kinds:
        """The kinds of generator the head returns."""
        return self.head.kinds

    def part_kinds(self) -> tuple[Kinds, ...]:
        """Return the kinds of each part that the head reads."""
        return self.head.part_kinds()

    @property
    def finite_at_end(self) -> bool:
        """Whether the generators are finite at t = 1, so that solvers may ask for them there."""
        return self.head.finite_at_end

    @property
    def takes_next(self) -> bool:
        """Whether the network asks for the time at which the step ends."""
        return getattr(self.network, "takes_next", False)

    def forward(self, x: Any, t: Any, condition: Any = None, s: Any = None) -> Generator:
        """Return the generator at `x`, shape `(b, *event)`, and time `t`, for a step to `s`."""
        output, clock = self._read(x, t, condition, s)
        return self.head(self.path, output, x, clock)

    def estimate(self, x: Any, t: Any, condition: Any = None) -> Any:
        """Return the distribution of each element of the data, given `x` at time `t`.

        On a product path, a dict of these.

        Raises:
            LookupError: When the head does not predict it.
        """
        output, clock = self._read(x, t, condition)
        return self.head.estimate(self.path, output, x, clock)

    def _read(self, x: Any, t: Any, condition: Any, s: Any = None) -> tuple[Any, Any]:
        """Return the network's output, and the time as the network got it."""
        if isinstance(x, Mapping):
            of = factor_times(t, x)
            clock: Any = {name: _clock(of[name], x[name]) for name in x}
            cast = {name: self.cast(value) for name, value in x.items()}
            return {k: _single(v) for k, v in self._call(cast, clock, condition).items()}, clock
        clock = _clock(t, x)
        more = (_clock(t if s is None else s, x),) if self.takes_next else ()
        return _single(self._call(self.cast(x), clock, condition, *more)), clock

    def _call(self, x: Any, clock: Any, condition: Any, *more: Tensor) -> Any:
        if self._conditional:
            return self.network(x, clock, condition, *more)
        if condition is not None:
            raise ValueError(
                f"a condition is given, and {type(self.network).__name__} takes none: it is called "
                "as network(x, t)"
            )
        return self.network(x, clock)

    def cast(self, x: Tensor) -> Tensor:
        """Return a state in the precision of the network; states themselves are single at least."""
        weight = next(self.parameters(), None)
        if weight is None or not (x.is_floating_point() and weight.is_floating_point()):
            return x
        half = weight.dtype in (torch.float16, torch.bfloat16)
        return x.to(weight.dtype) if half else x


def takes_condition(network: Any) -> bool:
    """Return whether a network takes a condition: whether it has more than two arguments.

    Example:
        >>> takes_condition(lambda x, t: x), takes_condition(lambda x, t, condition: x)
        (False, True)
    """
    # What torch wraps around a network takes anything.
    network = getattr(network, "_orig_mod", network)
    if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
        network = network.module
    try:
        parameters = inspect.signature(getattr(network, "forward", network)).parameters.values()
    except (TypeError, ValueError):  # of what has no signature nothing is known
        return True
    kinds = [parameter.kind for parameter in parameters]
    placed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(kind in placed for kind in kinds) != 2 or inspect.Parameter.VAR_POSITIONAL in kinds


def _clock(t: Time, x: Tensor) -> Tensor:
    """Return a time as a tensor of one per sample, or as it is."""
    check_times(t)
    # Half precision would round times near 1 to 1, and velocities add up: both stay float32.
    dtype = torch.promote_types(x.dtype, torch.float32) if x.is_floating_point() else torch.float32
    clock = t if isinstance(t, Tensor) else torch.full((), t, dtype=dtype, device=x.device)
    return clock.expand(len(x)) if clock.ndim == 0 else clock


def _single(output: Any) -> Tensor:
    """Return the output in at least single precision; raise an error if it is not a tensor."""
    if not isinstance(output, Tensor):
        raise ValueError(f"a network returns a tensor, not a {type(output).__name__}")
    if not output.is_floating_point():
        return output
    return output.to(torch.promote_types(output.dtype, torch.float32))
