"""Euler's method: every generator's own first-order step."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from feller.core.generators import Generator
from feller.core.models import Kinds
from feller.core.solvers.base import Evaluation, Solver
from feller.core.typing import Rng, Time

__all__ = ["Euler"]


@dataclass
class Euler(Solver):
    """x_s = step of the generator at (x_t, t) for the time s - t. One network call a step."""

    takes: ClassVar[Kinds] = frozenset({Generator})

    def step(self, model: Evaluation, x: Tensor, t: Time, s: Time, rng: Rng) -> Tensor:
        """Take the generator's own step."""
        return model(x, t).step(model.space, x, s - t, rng)
