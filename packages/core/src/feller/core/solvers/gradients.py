"""Gradients through a simulation: of a reward of its end, or of a likelihood, by the parameters.

`simulate` keeps no graph. With `WithGradient` around its solver it does: the discrete steps are
differentiated as they were taken. A graph grows with the steps; with **checkpoints** only
the states between steps are held, and each step is taken again on the way back, with the same
random numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.utils.checkpoint import checkpoint

from feller.core.generators import Diffusion, Flow
from feller.core.generators.base import is_kind
from feller.core.solvers.base import Evaluation, Solver
from feller.core.typing import Rng

__all__ = ["INHERITED", "WithGradient"]

INHERITED = ("takes", "spaces", "paths", "shares_clock", "takes_score", "own_times", "reverses")
"""What a solver says of itself, for one that is made of it."""


@dataclass
class WithGradient(Solver):
    """Any solver, with a gradient through its steps.

    The gradient passes through flows and diffusions only: whether a jump happens also depends on
    the parameters, and the simulated path carries no gradient of that.

    Attributes:
        solver: Takes the steps.
        checkpoint: Whether the backward pass recomputes each step instead of storing it.

    Example:
        >>> from feller.core.generators import Flow
        >>> from feller.core.models import GeneratorModel
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.solvers import Euler, simulate
        >>> w = torch.tensor(1.0, requires_grad=True)
        >>> model = GeneratorModel(lambda x, t, condition: w * x, GaussianPath())
        >>> reward = simulate(model, torch.ones(1, 1), [0.0, 0.5, 1.0], WithGradient(Euler()))
        >>> torch.autograd.grad(reward.state.sum(), w)[0]  # of (1 + w / 2)^2
        tensor(1.5000)
    """

    solver: Solver
    checkpoint: bool = False
    gives_gradient: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Take and refuse what the solver does."""
        for name in INHERITED:
            setattr(self, name, getattr(self.solver, name))

    def fork(self) -> "WithGradient":
        """Return a copy with a solver of its own."""
        return WithGradient(self.solver.fork(), self.checkpoint)

    def until(self, end: float) -> "WithGradient":
        """Return the same of the solver that ends there."""
        return WithGradient(self.solver.until(end), self.checkpoint)

    def begin(self, model: Evaluation, x_0: Any, times: Any, rng: Rng) -> Any:
        """Begin as the solver does, unless something jumps."""
        jumps = [k.__name__ for k in model.kinds if not is_kind(k, (Flow, Diffusion))]
        if jumps:
            raise ValueError(
                f"a gradient passes flows and diffusions, but the model returns {', '.join(jumps)}"
            )
        return self.solver.begin(model, x_0, times, rng)

    def step(self, model: Evaluation, x: Any, t: Any, s: Any, rng: Rng) -> Any:
        """Take the solver's step."""
        if not (self.checkpoint and torch.is_grad_enabled()):
            return self.solver.step(model, x, t, s, rng)
        before, drawn, taken = self.solver.fork(), _states(rng), False

        def take(x: Any) -> Any:
            nonlocal taken
            if not taken:
                taken = True
                return self.solver.step(model, x, t, s, rng)
            again, calls = before.fork(), model.nfe
            x_s = again.step(model, x, t, s, _restored(rng, drawn))
            model.nfe = calls  # counted on the way there
            return x_s

        return checkpoint(take, x, use_reentrant=False)

    def done(self, state: Any) -> bool:
        """Return whether the solver is done."""
        return self.solver.done(state)

    def finish(self, state: Any) -> Any:
        """Return what the solver shows."""
        return self.solver.finish(state)


def _generators(rng: Any) -> Sequence[torch.Generator]:
    if rng is None:  # the global one, which checkpoints keep themselves
        return ()
    return (rng,) if hasattr(rng, "get_state") else tuple(rng)


def _states(rng: Rng) -> list[torch.Tensor]:
    return [generator.get_state() for generator in _generators(rng)]


def _restored(rng: Rng, states: list[torch.Tensor]) -> Rng:
    """Return generators as they were, and leave those of now alone."""
    again = []
    for generator, state in zip(_generators(rng), states, strict=True):
        again.append(torch.Generator(generator.device))
        again[-1].set_state(state)
    return None if rng is None else again[0] if hasattr(rng, "get_state") else again
