"""Conditional probability paths p_t(x | z): laws that lead from the source to the point z.

A path only says where its samples are at each time. Which processes move along it, and how fast, is
in `feller.core.solutions`: one path has many generators.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from feller.core.schedules import Schedule
from feller.core.sources import Source
from feller.core.spaces import StateSpace
from feller.core.typing import Rng, Time

__all__ = ["ConditionalPath"]


class ConditionalPath(ABC):
    """A law of x_t for each data point z and each time t.

    Attributes:
        space: Where states live.
        schedule: The clock.
        source: The law at t = 0.
    """

    space: StateSpace
    schedule: Schedule
    source: Source

    def sample_source(
        self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None
    ) -> Tensor:
        """Draw x_0 of the given shape, batch first."""
        return self.source.sample(shape, rng, like=like)

    @abstractmethod
    def sample(self, z: Tensor, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Tensor:
        """Draw x_t given z.

        Args:
            z: Data points, batch first.
            t: One time, one a sample, or one an element.
            rng: Where randomness comes from.
            x_0: The source samples to use, from a coupling; drawn when absent.
        """
