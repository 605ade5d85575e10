"""Euler's method: every generator's own first-order step."""

from dataclasses import dataclass
from typing import Any, ClassVar

from feller.core.generators import Generator
from feller.core.heads import Kinds
from feller.core.solvers.base import Evaluation, Solver, elapsed
from feller.core.typing import Rng

__all__ = ["Euler"]


@dataclass
class Euler(Solver):
    """x_s = step of the generator at (x_t, t) for the time s - t. One network call a step.

    A model with `takes_next` is given s, and may return the average generator from t to s
    (MeanFlow, flow maps): the step is then as exact as the model, however long.
    """

    takes: ClassVar[Kinds] = frozenset({Generator})
    reverses: ClassVar[bool] = True

    def step(self, model: Evaluation, x: Any, t: Any, s: Any, rng: Rng) -> Any:
        """Take the generator's own step."""
        return model(x, t, s).step(model.space, x, elapsed(t, s), rng)
