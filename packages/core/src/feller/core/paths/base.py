"""Conditional probability paths p_t(x | z): distributions that lead from the source to the data.

The conditioning variable z is a data point, or a pair of a source sample and a data point
(`feller.core.pairs`). A path only says where its samples are at each time. Which processes move
along it, and how fast, is in `feller.core.solutions`: one path has many generators.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.generators import Flow, Generator
from feller.core.parametrizations import Parametrization
from feller.core.schedules import Schedule
from feller.core.sources import Source
from feller.core.spaces import StateSpace
from feller.core.typing import Rng, Time

__all__ = ["ConditionalPath", "Drawn", "check_parts", "check_source"]


@dataclass(frozen=True)
class Drawn:
    """A sampled state of a path, with its velocity.

    Attributes:
        x_t: The states `(b, *event)`.
        velocity: Their time derivative with all random draws held fixed: the conditional velocity
            at x_t, also given the source sample.
    """

    x_t: Tensor
    velocity: Tensor


class ConditionalPath(ABC):
    """A distribution of x_t for each conditioning variable z and each time t.

    Attributes:
        space: Where states live.
        schedule: Its coefficients in time.
        source: The distribution at t = 0.
        has_atoms: Whether elements are at their data value with a positive probability before t =
            1, so that probabilities of cells are comparable (`log_mass`) and densities are not.
        coupled_kinds: The kinds of generator whose solutions hold however source and data depend on
            each other.
    """

    space: StateSpace
    schedule: Schedule
    source: Source
    coupled_kinds: ClassVar[tuple[type[Generator], ...]] = (Flow,)
    has_atoms: ClassVar[bool] = False

    def sample_source(
        self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None
    ) -> Tensor:
        """Draw x_0 of the given shape, batch first."""
        return self.source.sample(shape, rng, like=like)

    def given(self, x_0: Tensor, x_1: Tensor) -> Any:
        """Return the conditioning variable of pairs: the data points alone, on most paths."""
        return x_1

    @abstractmethod
    def sample(self, z: Any, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Tensor:
        """Draw x_t given z.

        Args:
            z: Data points, batch first; on a path between two ends, a `Pair`.
            t: One time, one a sample, or one an element.
            rng: Where randomness comes from.
            x_0: The source samples to use, from a coupling; drawn if None, or those of the pair.
        """

    def draw(self, z: Any, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Drawn:
        """Draw x_t with its velocity, on a path whose samples move continuously.

        The arguments are those of `sample`. The velocity is the target of a flow for x_t, by the
        pair instead of the data point: for a squared loss both have the same gradient on average.

        Example:
            >>> from feller.core.paths import GaussianPath
            >>> drawn = GaussianPath().draw(torch.ones(1, 1), 0.25, x_0=torch.zeros(1, 1))
            >>> drawn.x_t, drawn.velocity
            (tensor([[0.2500]]), tensor([[1.]]))
        """
        clock = t if torch.is_tensor(t) else torch.tensor(t, dtype=z.dtype, device=z.device)
        one = torch.ones_like(clock)
        x, way = torch.func.jvp(lambda t: self.sample(z, t, rng, x_0=x_0), (clock,), (one,))[:2]
        return Drawn(x, way)

    def arrived(self, x: Tensor) -> Tensor | None:
        """Return which elements are certainly at their data value; None if no state shows it."""
        return None

    def score(self, x: Tensor, t: Time, z: Any) -> Tensor:
        """Return the gradient of log p_t(x | z).

        Raises:
            ValueError: On a path that does not know it.
        """
        raise ValueError(f"the score of a {type(self).__name__} is not known")

    def convert(
        self, value: Tensor, known: Parametrization, asked: Parametrization, x: Tensor, t: Time
    ) -> Tensor:
        """Turn one parametrization of a flow into another (`feller.core.parametrizations`).

        Raises:
            ValueError: When what is known does not determine what is asked on this path.
        """
        if known == asked:
            return value
        raise ValueError(f"{known} of a {type(self).__name__} gives no {asked}")

    def check_score(self, what: str) -> None:
        """Refuse to derive a score from a velocity that does not determine it.

        Args:
            what: What asks for it, such as `Noised`.

        Raises:
            ValueError: On every path but the Gaussian one from a Gaussian source.
        """
        raise ValueError(
            f"{what} takes the score from a velocity, which determines it on a GaussianPath and "
            f"not on a {type(self).__name__}: train a ScoreHead, whose score needs no velocity"
        )


def check_parts(path: ConditionalPath) -> None:
    """Reject a path whose parts are not of their kinds, as one given in the wrong order.

    Raises:
        TypeError: When one is not.
    """
    for name, kind in (("space", StateSpace), ("source", Source), ("schedule", Schedule)):
        given, own = getattr(path, name), type(path).__name__
        if not isinstance(given, kind):
            found = f"{name} is a {kind.__name__}, not {type(given).__name__}"
            raise TypeError(f"{own}: {found}; name the parts, {own}({name}=...)")


def check_source(space: StateSpace, source: Source) -> None:
    """Reject a source that says it draws what is not in the space.

    Raises:
        ValueError: When it does.
    """
    if not source.draws_in(space):
        raise ValueError(f"{source} draws what is not in {space}: choose a source of that space")
