"""Conditional probability paths p_t(x | z): laws that lead from the source to the point z.

A path only says where its samples are at each time. Which processes move along it, and how fast, is
in `feller.core.solutions`: one path has many generators.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from feller.core.schedules import Schedule
from feller.core.sources import (
    Gaussian,
    Masked,
    Source,
    UniformBox,
    UniformSphere,
    UniformTokens,
)
from feller.core.spaces import Euclidean, Interval, Sphere, StateSpace, Tokens, Torus
from feller.core.typing import Rng, Time

__all__ = ["ConditionalPath", "check_source"]


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

    def arrived(self, x: Tensor) -> Tensor | None:
        """Return which elements are certainly at their data value; None if no state tells."""
        return None


def check_source(space: StateSpace, source: Source) -> None:
    """Refuse a source that draws what is not in the space; of types not known here, none.

    Raises:
        ValueError: When it does.
    """
    known = (Euclidean, Interval, Sphere, Tokens, Torus)
    if isinstance(space, known) and not _draws_in(space, source):
        raise ValueError(f"{source} draws what is not in {space}: choose a source of that space")


def _draws_in(space: StateSpace, source: Source) -> bool:
    match source:
        case Masked(mask):
            return isinstance(space, Tokens) and 0 <= mask < space.size
        case UniformTokens(size):
            return isinstance(space, Tokens) and size <= space.size
        case UniformBox(low, high):
            ends = _ends(space)
            return ends is not None and ends[0] <= low < high <= ends[1]
        case Gaussian() | UniformSphere():
            return isinstance(space, Euclidean if isinstance(source, Gaussian) else Sphere)
    return True


def _ends(space: StateSpace) -> tuple[float, float] | None:
    """Return between which numbers a space is, None where it is not one of numbers."""
    match space:
        case Interval(low, high):
            return low, high
        case Torus():
            return -math.pi - 1e-5, math.pi + 1e-5
        case Euclidean():
            return -math.inf, math.inf
    return None
