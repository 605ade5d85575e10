"""A last step that goes where the model says the data are.

At the data rates and scores are infinite, and what a step of a generator leaves of the noise is
seen. A model that says where the data are (`GeneratorModel.estimate`) can be asked for the end
itself: the mean of a flow, a draw of a posterior.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from feller.core.solvers.base import Evaluation, Solver
from feller.core.solvers.gradients import INHERITED
from feller.core.solvers.mixed import like
from feller.core.times import expand_time, factor_times, is_shared
from feller.core.typing import Rng, Time

__all__ = ["EndWithEstimate"]


@dataclass
class EndWithEstimate(Solver):
    """A solver whose last step draws from the model's estimate of the data, with one call.

    Elements whose time is fixed stay, and so do elements that are already data: any token but the
    mask.

    Attributes:
        solver: Takes all steps before the last.

    Example:
        >>> from feller.core.heads import FlowHead
        >>> from feller.core.models import GeneratorModel
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.solvers import Euler, simulate
        >>> network = lambda x, t, condition: torch.full_like(x, 3.0)
        >>> model = GeneratorModel(network, GaussianPath(), FlowHead("x_1"))
        >>> found = simulate(model, torch.zeros(1, 1), [0.0, 0.5, 1.0], EndWithEstimate(Euler()))
        >>> found.state, found.nfe
        (tensor([[3.]]), 2)
    """

    solver: Solver
    _left: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        """Take and refuse what the solver does."""
        for name in INHERITED:
            setattr(self, name, getattr(self.solver, name))

    def fork(self) -> "EndWithEstimate":
        """Return a copy with a solver of its own."""
        return EndWithEstimate(self.solver.fork())

    def begin(self, model: Evaluation, x_0: Any, times: Any, rng: Rng) -> Any:
        """Begin as the solver does, and count the steps.

        Raises:
            LookupError: When the model does not say where the data are.
            ValueError: Without a grid, and when a clock that moves in the last step ends elsewhere
                than at 1.
        """
        if getattr(model.model, "estimate", None) is None:
            raise LookupError(f"a {type(model.model).__name__} does not say where the data are")
        if times is None:
            raise ValueError("EndWithEstimate needs a grid of times, whose last step it takes")
        before, end = (factor_times(clock, ("",)) for clock in times[-2:])
        if any(_elsewhere(before[name], end[name]) for name in end):
            raise ValueError("the last step of EndWithEstimate goes to t = 1, where the data are")
        self._left = len(times) - 1
        return self.solver.begin(model, x_0, times, rng)

    def step(self, model: Evaluation, x: Any, t: Any, s: Any, rng: Rng) -> Any:
        """Take the solver's step; the last time, draw the data."""
        self._left -= 1
        if self._left:
            return self.solver.step(model, x, t, s, rng)
        x = self.solver.finish(x)
        model.nfe += model.model.network_calls(t, model.condition)
        source: Any = model.model
        found = factor_times(source.estimate(x, t, model.condition), ("",))
        paths = getattr(model.path, "factors", {"": model.path})
        states, start, end = (factor_times(value, found) for value in (x, t, s))
        drawn = {}
        for name, distribution in found.items():
            data = _unless(
                paths[name].arrived(states[name]), distribution.sample(rng), states[name]
            )
            drawn[name] = _unless(_still(start[name], end[name]), data, states[name])
        return like(drawn)

    def done(self, state: Any) -> bool:
        """Return whether the solver is done before the last step."""
        return self._left > 0 and self.solver.done(state)

    def finish(self, state: Any) -> Any:
        """Return what the solver shows; the last step leaves nothing more."""
        return self.solver.finish(state) if self._left else state


def _still(t: Time, s: Time) -> Tensor | None:
    """Return where a clock stands still; None where there is one that moves for all."""
    return None if is_shared(s) else torch.as_tensor(s == t)


def _unless(stays: Tensor | None, moved: Tensor, x: Tensor) -> Tensor:
    """Return `x` where it stays, else what it moved to."""
    return moved if stays is None else torch.where(expand_time(stays, x), x, moved)


def _elsewhere(t: Time, s: Time) -> bool:
    """Return whether a clock moves, but not to 1."""
    moves = torch.as_tensor(s) != t
    return bool((moves & (torch.as_tensor(s) != 1)).any())
