"""State spaces: where a Markov process lives.

A state is a tensor whose last `event_dim` axes are one point of the space; the axes before are the
batch. A point is made of **elements**, the smallest parts that move on their own: a coordinate, a
token, a rotation. An element takes the last `element_dim` axes.
"""

import math
from abc import ABC, abstractmethod

from torch import Tensor

__all__ = ["Manifold", "StateSpace"]


class StateSpace(ABC):
    """A set of states.

    Attributes:
        event_dim: Number of trailing axes that make one state.
        element_dim: Number of trailing axes that make one element of a state.
        is_discrete: Whether states are integers.
        ends: Between which numbers each coordinate lies, where all between are states; None where
            that is not so, or not said.
        is_curved: Whether coordinates depend on each other, so that independent ones are not valid.
        is_manifold: Whether it has geodesics, along which states move.
        is_flat: Whether every geodesic is `x + v`.
    """

    event_dim: int
    element_dim: int = 0
    is_discrete: bool = False
    ends: tuple[float, float] | None = None
    is_curved: bool = False
    is_manifold: bool = False
    is_flat: bool = False

    @abstractmethod
    def check(self, x: Tensor) -> None:
        """Raise a `ValueError` that names what is wrong when `x` is not in the space."""

    def reflect(self, x: Tensor) -> Tensor:
        """Return where noise leaves a state that it moved to `x`: folded back into the space.

        Raises:
            ValueError: On a space where a diffusion is not known to move.
        """
        raise ValueError(f"a diffusion moves on Euclidean space or an interval, not on {self}")


class Manifold(StateSpace):
    """A space with geodesics. Tangent vectors have the shape of their base point.

    Attributes:
        reach: How far geodesics go before they meet again.
    """

    is_manifold = True
    reach: float = math.inf

    @abstractmethod
    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        """Follow the geodesic that leaves `x` with velocity `v` for unit time."""

    @abstractmethod
    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the velocity at `x` of the shortest geodesic that is at `y` at time one."""

    @abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """Return the point of the manifold nearest to `x`."""

    @abstractmethod
    def project_tangent(self, x: Tensor, v: Tensor) -> Tensor:
        """Return the tangent vector at `x` nearest to `v`."""

    def log_growth(self, way: Tensor, left: Tensor) -> Tensor:
        """Return how much the volume about a point grows when geodesics are stretched.

        Args:
            way: Where elements are, as tangent vectors at the point.
            left: What fraction of their length `way` is after the stretch; one an element.

        Returns:
            The log of the ratio of volumes after and before, one an element.

        Raises:
            ValueError: On a manifold whose volume along geodesics is not known here.
        """
        raise ValueError(f"no density of geodesics on {self} is known")
