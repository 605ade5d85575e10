r"""Known elements: kept on their own way from noise to data while a solver moves the others.

At each time the known elements are put where the path has them, :math:`x_t = \alpha_t z + \sigma_t
x_0` on the Gaussian one, for noise that they keep: what the path draws is drawn once, so that a
token arrives once and stays. The model is asked at states that hold them. As
it did not know what is given later, others may not suit them: **resampling** steps back from s to t
by the noise of the path, and takes the step again (RePaint, Lugmayr et al., arXiv 2201.09865,
algorithm 1). It holds for any generator: only the path is asked.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from feller.core import random
from feller.core.paths import GaussianPath
from feller.core.solvers.base import Evaluation, Solver
from feller.core.solvers.gradients import INHERITED
from feller.core.times import is_shared
from feller.core.typing import Rng

__all__ = ["KeepKnown"]


@dataclass
class KeepKnown(Solver):
    """A solver that keeps known elements on their path to the data.

    Attributes:
        solver: Takes the steps.
        z: The data; only known elements are used. Broadcasts against the state.
        known: Which elements are known; broadcasts against the state.
        repeats: How often each step is taken; above 1 only on the Gaussian path.

    Raises:
        ValueError: When `repeats` is below 1, or the solver has no grid of times.

    Example:
        >>> from feller.core.generators import Flow
        >>> from feller.core.posteriors import FiniteData
        >>> from feller.core.solvers import Euler, simulate
        >>> points = torch.tensor([[-2.0, -1.0], [2.0, 1.0]])
        >>> model = FiniteData(GaussianPath(), Flow, points)
        >>> solver = KeepKnown(Euler(), points[1:], torch.tensor([True, False]))
        >>> simulate(model, torch.zeros(1, 2), torch.linspace(0, 1, 9), solver).state
        tensor([[2., 1.]])
    """

    solver: Solver
    z: Tensor
    known: Tensor
    repeats: int = 1
    _x_0: Tensor | None = field(default=None, init=False, repr=False)
    _again: Callable[[], Rng] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Take and refuse what the solver does."""
        for name in INHERITED:
            setattr(self, name, getattr(self.solver, name))
        if self.repeats < 1:
            raise ValueError(f"repeats is at least 1, not {self.repeats}")
        if self.own_times:
            raise ValueError(f"known elements need a grid of times, which {self.solver} has not")
        if self.repeats > 1:
            self.paths = (GaussianPath,)  # pyright: ignore[reportAttributeAccessIssue]

    def fork(self) -> "KeepKnown":
        """Return a copy with a solver of its own."""
        return KeepKnown(self.solver.fork(), self.z, self.known, self.repeats)

    def until(self, end: float) -> "KeepKnown":
        """Return the same of the solver that ends there."""
        return KeepKnown(self.solver.until(end), self.z, self.known, self.repeats)

    def begin(self, model: Evaluation, x_0: Any, times: Any, rng: Rng) -> Any:
        """Begin as the solver does; the noise of known elements is that of the start.

        Raises:
            ValueError: When the grid does not begin at 0, by one clock for all.
        """
        if not is_shared(times[0]) or times[0] != 0:
            raise ValueError("known elements are kept on grids that begin at 0, by one clock")
        self._x_0, self._again = x_0, random.repeating(rng)
        return self.solver.begin(model, x_0, times, rng)

    def step(self, model: Evaluation, x: Any, t: Any, s: Any, rng: Rng) -> Any:
        """Take the solver's step, as often as asked, between states that hold what is known."""
        for again in range(self.repeats):
            x = x if again == 0 else _back(model.path, x, t, s, rng)
            x = self._held(model, self.solver.step(model, self._held(model, x, t), t, s, rng), s)
        return x

    def _held(self, model: Evaluation, x: Tensor, t: Any) -> Tensor:
        z = model.path.given(self._x_0, self.z.to(x).expand_as(x))
        there = model.path.sample(z, t, self._again and self._again(), x_0=self._x_0)
        return torch.where(self.known.to(x.device), there, x)


def _back(path: GaussianPath, x: Tensor, t: Any, s: Any, rng: Rng) -> Tensor:
    """Return a draw of x_t given x_s for t < s: the noise that the path has lost is put back."""
    schedule = path.schedule
    now, then = (torch.tensor(u, dtype=torch.float64, device="cpu") for u in (s, t))
    kept = float(schedule.alpha(then) / schedule.alpha(now))
    width = math.sqrt(max(float(schedule.sigma(then) ** 2 - (kept * schedule.sigma(now)) ** 2), 0))
    return kept * x + width * random.normal(x.shape, rng, like=x)
