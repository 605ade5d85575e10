r"""Traces: the rate at which a flow spreads, :math:`\nabla \cdot u = \mathrm{tr}\, \partial u`.

A trace is a sum of :math:`e^\top (\partial u)\, e` over directions e: over the unit vectors it is
exact, and over random directions with :math:`E e e^\top = I` it is right on average (Hutchinson).
Each direction is one backward pass, which every network knows; fused attention, for one, knows no
forward-mode derivatives.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.typing import Rng

__all__ = ["ExactTrace", "HutchinsonTrace", "Trace"]

Field = Callable[[Tensor], Tensor]
"""A vector field on a batch of states; rows do not act on each other."""

Estimator = Callable[[Field, Tensor], tuple[Tensor, Tensor]]
"""A function (f, x) -> f(x) and estimates of its trace, `(b, columns)`."""


class Trace(ABC):
    """A way to the trace of a Jacobian.

    Attributes:
        columns: How many estimates of it there are.
        is_exact: Whether an estimate is the trace.
    """

    columns: int
    is_exact: ClassVar[bool]

    @abstractmethod
    def prepare(self, x: Tensor) -> Estimator:
        """Return the function that estimates traces at states like `x`, `(b, *event)`."""


@dataclass(frozen=True)
class ExactTrace(Trace):
    """The sum over the unit vectors: d backward passes for states of d numbers.

    Example:
        >>> x = torch.ones(1, 2)
        >>> ExactTrace().prepare(x)(lambda x: x**2, x)
        (tensor([[1., 1.]]), tensor([[4.]]))
    """

    columns: ClassVar[int] = 1
    is_exact: ClassVar[bool] = True

    def prepare(self, x: Tensor) -> Estimator:
        """Return a function that makes the unit vectors one at a time."""

        def estimate(f: Field, x: Tensor) -> tuple[Tensor, Tensor]:
            value, products = _products(f, x, _units(x))
            return value, products.sum(1, keepdim=True)

        return estimate


@dataclass(frozen=True)
class HutchinsonTrace(Trace):
    """An estimate for each of a few random directions, one backward pass each.

    They are drawn once per integration, so that the integrand is an ordinary differential equation.
    Source: Grathwohl et al., arXiv 1810.01367, equation 8.

    Attributes:
        rng: Where randomness comes from.
        probes: Number of directions.
        distribution: Signs have the least variance; normals favour no axis.

    Raises:
        ValueError: When there is no probe, or the distribution is unknown.
    """

    rng: Rng
    probes: int = 1
    distribution: Literal["signs", "normals"] = "signs"
    is_exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse to probe with nothing, or with an unknown distribution."""
        if self.probes < 1:
            raise ValueError(f"a trace takes at least one probe, not {self.probes}")
        if self.distribution not in ("signs", "normals"):
            raise ValueError(f"distribution is 'signs' or 'normals', not {self.distribution!r}")

    @property
    def columns(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of probes."""
        return self.probes

    def prepare(self, x: Tensor) -> Estimator:
        """Draw the directions."""
        shape = (x.shape[0], self.probes, *x.shape[1:])
        if self.distribution == "normals":
            drawn = random.normal(shape, self.rng, like=x)
        else:
            drawn = 2 * random.integers(2, shape, self.rng, like=x).to(x.dtype) - 1
        return lambda f, x: _products(f, x, drawn.unbind(1))


def _products(
    f: Field, x: Tensor, directions: Iterable[Tensor]
) -> tuple[Tensor, Float[Tensor, "b k"]]:
    """Return f(x) and e . (df/dx) e for each direction e, row by row."""
    value, pull, *_ = torch.func.vjp(f, x)
    products = [(e * pull(e.to(value.dtype))[0]).flatten(1).sum(1) for e in directions]
    return value, torch.stack(products, 1)


def _units(x: Tensor) -> Iterator[Tensor]:
    for i in range(x.shape[1:].numel()):
        unit = torch.zeros_like(x).flatten(1)
        unit[:, i] = 1
        yield unit.view_as(x)
