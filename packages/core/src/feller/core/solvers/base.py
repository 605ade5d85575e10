"""Simulation: one loop, and solvers that say what a step is.

`simulate` follows a grid of times; at each step the solver asks the model for generators and
returns the next state. NFE, the number of network calls per sample, is counted on the way. What a
solver carries from step to step may be richer than a state: it says how it begins, when it is done
and what it shows.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise, repeat
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.checks import check_no_gradient
from feller.core.couplings import Coupling, check_score
from feller.core.generators import Flow
from feller.core.generators.base import is_kind
from feller.core.generators.shapes import check_shapes
from feller.core.heads import Kinds
from feller.core.models import Model
from feller.core.solvers.clocks import Times, clocks_of
from feller.core.times import each_clock, is_shared
from feller.core.typing import Rng

__all__ = ["Evaluation", "Simulation", "Solver", "Times", "check", "elapsed", "follow", "simulate"]

_AS_IT_IS = nullcontext()


class Evaluation:
    """A model bound to its condition, which counts its network calls.

    Attributes:
        model: The model itself, for solvers that ask it for more than its generator.
        condition: What it is conditioned on at each call.
        finite_at_end: Whether its generators are finite at t = 1.
        takes_next: Whether it asks for the time at which a step ends.
        nfe: Network calls so far.
    """

    def __init__(self, model: Model, condition: Any = None) -> None:
        if not hasattr(model, "space"):
            name = type(model).__name__
            raise ValueError(f"{name} is not a model: use GeneratorModel(network, path, head)")
        self.model = model
        self.condition = condition
        self.space: Any = model.space
        self.path: Any = model.path
        self.coupling: Coupling = model.coupling
        self.kinds: Kinds = model.kinds
        self.finite_at_end: bool = model.finite_at_end
        self.takes_next: bool = model.takes_next
        self.nfe = 0

    def __call__(self, x: Any, t: Any, s: Any = None) -> Any:
        """Return the generator at (x, t); `s`, where the step ends, is for models that ask."""
        self.nfe += self.model.network_calls(t, self.condition)
        following = {"s": s} if self.takes_next else {}
        generator = self.model(x, t, self.condition, **following)
        check_shapes(generator, self.space, x)
        return generator


class Solver(ABC):
    """A rule for one step.

    `simulate` gives each simulation a `fork` of its solver, so a solver may keep what it learnt in
    one step for the next: a history, a step size.

    What a solver cannot take is refused before the loop, by what it says of itself.

    Attributes:
        takes: The kinds of generator the solver can simulate.
        spaces: The spaces it moves on; on a product space, every factor is on one of them.
        paths: The paths it knows; the model is on one of them. Any model will do where there are
            none.
        shares_clock: Whether the whole batch has one clock.
        takes_score: Whether it takes the score from the velocity, which determines it only where
            the source is Gaussian and independent of the data.
        own_times: Whether it has times of its own, and goes on until it is `done`; `simulate` is
            then given None for times.
        reverses: Whether it also steps back in time, along flows: from data to their source.
        gives_gradient: Whether steps are taken with a graph behind them.
    """

    takes: ClassVar[Kinds]
    spaces: ClassVar[tuple[type, ...]] = (object,)
    paths: ClassVar[tuple[type, ...]] = ()
    shares_clock: ClassVar[bool] = False
    takes_score: ClassVar[bool] = False
    own_times: ClassVar[bool] = False
    gives_gradient: ClassVar[bool] = False
    reverses: ClassVar[bool] = False

    @abstractmethod
    def step(self, model: Evaluation, x: Any, t: Any, s: Any, rng: Rng) -> Any:
        """Return the state at time `s` from the state `x` at time `t` < `s`.

        States are tensors, or dicts of them where the space is a product; times are floats or
        clocks (tensors), or dicts of them where factors have their own. A solver with times of its
        own is given 0 and 1 at each step.
        """

    def fork(self) -> "Solver":
        """Return a copy for one simulation: what that learns does not come back."""
        return copy.copy(self)

    def until(self, end: float) -> "Solver":
        """Return the solver for grids that end there: one with steps of its own goes no further."""
        return self

    def begin(self, model: Evaluation, x_0: Any, times: Any, rng: Rng) -> Any:
        """Return what the first step starts from: `x_0`, or a richer state made of it.

        Args:
            model: The model, before any call.
            x_0: What `simulate` was given.
            times: The grid as a list of clocks; None for a solver with times of its own.
            rng: Where randomness comes from.

        Raises:
            ValueError: When x_0 is not a state of the model's space.
        """
        _check_start(model.space, x_0)
        return x_0

    def done(self, state: Any) -> bool:
        """Return whether nothing is left to do, so that the loop ends before the grid does."""
        return False

    def finish(self, state: Any) -> Any:
        """Return what is shown of a state: all of it, unless the solver keeps more."""
        return state


@dataclass(frozen=True)
class Simulation:
    """The result of a simulation.

    Attributes:
        state: The states at the last time, `(b, *event)`; of a product, a dict of them.
        nfe: Network calls per sample.
    """

    state: Any
    nfe: int


def simulate(
    model: Model,
    x_0: Any,
    times: Times,
    solver: Solver,
    rng: Rng = None,
    condition: Any = None,
) -> Simulation:
    """Simulate a model from `x_0` along a grid of times.

    Args:
        model: Returns the generator at (x, t).
        x_0: States at the first time, `(b, *event)`; a dict of them on a product space.
        times: Increasing times `(steps + 1,)`, for flows also falling ones; or a clock per sample
            or element, `(steps + 1, b, ...)`; where a clock stands still, so does the state. On a
            product space also a dict of these, all of the same number of steps. None for a solver
            with times of its own.
        solver: The step.
        rng: Where randomness comes from.
        condition: Passed to the model.

    Raises:
        ValueError: When the solver cannot take the model or its clocks, the times are not a grid
            or x_0 no states of the model's space, what the model returns has not the shape of the
            states, or a gradient is asked for: only `WithGradient` gives one.

    Example:
        >>> from feller.core.generators import Flow
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.posteriors import FiniteData
        >>> from feller.core.solvers import Euler
        >>> model = FiniteData(GaussianPath(), Flow, torch.tensor([[3.0]]))
        >>> simulation = simulate(model, torch.zeros(1, 1), [0.0, 0.5, 1.0], Euler())
        >>> simulation.state, simulation.nfe
        (tensor([[3.]]), 2)
    """
    if not solver.gives_gradient:
        check_no_gradient("simulate", x_0=x_0, model=model, condition=condition, times=times)
    evaluation, state = Evaluation(model, condition), x_0
    for state in _states(evaluation, x_0, times, solver, rng):  # noqa: B007  (the last one counts)
        pass
    return Simulation(state, evaluation.nfe)


def follow(
    model: Evaluation,
    x_0: Any,
    times: Times,
    solver: Solver,
    rng: Rng = None,
) -> Iterator[Any]:
    """Yield the state at each time of the grid after the first: the loop behind `simulate`.

    `[x_0, *follow(Evaluation(model, condition), x_0, times, solver, rng)]` is a trajectory.
    """
    states = _states(model, x_0, times, solver, rng)
    next(states)
    return states


def _states(model: Evaluation, x_0: Any, times: Times, solver: Solver, rng: Rng) -> Iterator[Any]:
    """Yield the state before the first step and after each."""
    clocks = None if solver.own_times and times is None else clocks_of(times)
    check(model, solver, 0.0 if clocks is None else clocks[0])
    if clocks is not None:
        _check_direction(model, solver, clocks)
    solver = solver.fork()
    graph = solver.gives_gradient and torch.is_grad_enabled()
    with _gradient(graph):
        state = solver.begin(model, x_0, clocks, rng)
    yield solver.finish(state)
    for t, s in repeat((0.0, 1.0)) if clocks is None else pairwise(clocks):
        if solver.done(state):
            return
        with _gradient(graph):
            state = solver.step(model, state, t, s, rng)
        yield solver.finish(state)


def _gradient(graph: bool) -> AbstractContextManager[Any]:
    """Return what builds a graph or builds none; nothing is done where that is so already."""
    return _AS_IT_IS if torch.is_grad_enabled() == graph else torch.set_grad_enabled(graph)


def check(model: Evaluation, solver: Solver, clock: Any) -> None:
    """Reject a model, or a clock, that a solver cannot take.

    Raises:
        ValueError: When the solver says so of itself.
    """
    name = type(solver).__name__
    refused = [kind for kind in model.kinds if not is_kind(kind, solver.takes)]
    if refused:
        raise ValueError(
            f"{name} takes {_names(solver.takes)}, but the model returns {_names(refused)}"
        )
    for space in getattr(model.space, "factors", {"": model.space}).values():
        if not isinstance(space, solver.spaces):
            raise ValueError(f"{name} moves on {_names(solver.spaces)} space, not on {space}")
    if solver.paths and not isinstance(model.path, solver.paths):
        raise ValueError(f"{name} needs a model on a {_names(solver.paths)}, not on {model.path}")
    if solver.shares_clock and not is_shared(clock):
        raise ValueError(f"{name} keeps one clock for the batch; use a fixed-step solver")
    if solver.takes_score:
        check_score(model, f"the noise of {solver}")


def _check_direction(model: Evaluation, solver: Solver, clocks: list[Any]) -> None:
    """Reject a grid that falls where that means nothing."""
    first, last = clocks[0], clocks[-1]
    if not is_shared(first) or first < last:
        return
    if not solver.reverses or not all(is_kind(kind, [Flow]) for kind in model.kinds):
        raise ValueError(
            f"only flows run back in time, by a solver that can: not {_names(model.kinds)} by "
            f"{type(solver).__name__}"
        )
    if first == 1 and not model.finite_at_end:
        raise ValueError("the model is not finite at t = 1: start a grid that falls before it")


def _check_start(space: Any, x_0: Any) -> None:
    """Reject states of another type or of too few axes; numbers are not looked at."""
    factors = getattr(space, "factors", None)
    if factors is None:
        factors, x_0 = {"": space}, {"": x_0}
    if not isinstance(x_0, Mapping) or x_0.keys() != factors.keys():
        raise ValueError(f"x_0 is a dict of the factors {sorted(factors)}, one state each")
    for name, factor in factors.items():
        x, discrete = x_0[name], factor.is_discrete
        if not isinstance(x, Tensor):
            raise ValueError(f"x_0 is a tensor of shape (b, *event), not a {type(x).__name__}")
        if x.ndim <= factor.event_dim or discrete == (x.is_floating_point() or x.is_complex()):
            numbers = "integers" if discrete else "floating point"
            raise ValueError(
                f"x_0 is {numbers} of shape (b, *event) on {factor}, not {x.dtype} of {(*x.shape,)}"
            )


def _names(types: Iterable[type]) -> str:
    return ", ".join(sorted(kind.__name__ for kind in types))


def elapsed(t: Any, s: Any) -> Any:
    """Return s - t, factor by factor where factors have their own clocks."""
    return each_clock(lambda t, s: s - t, t, s)
