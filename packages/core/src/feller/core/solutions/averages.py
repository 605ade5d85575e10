"""Averages over a posterior: the marginal generator from the conditional ones, whatever the path.

The marginal generator is the posterior mean of the conditional ones (Generator Matching, arXiv
2410.20587, proposition 1), element by element since these paths factorise (proposition 4).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from feller.core.generators import Destination, Generator
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["average_over", "expect", "refuse_vectors"]

_AT_ONCE = 1 << 18  # numbers in a working tensor: a megabyte, which stays in the cache


def average_over(
    conditional: Callable[..., Generator],
    path: Any,
    x: Tensor,
    t: Time,
    posterior: Destination,
) -> Generator:
    """Return the mean of conditional generators over the points of a posterior.

    Raises:
        LookupError: Where an element is a vector, of which a posterior over numbers says nothing.
    """
    refuse_vectors(path)
    values, weights = (v.movedim(-1, 1) for v in posterior.quadrature())
    time = expand_time(t, x)
    time = time[:, None] if time.ndim else time
    return conditional(path, x[:, None], time, values).average(weights)


def refuse_vectors(path: Any) -> None:
    """Reject a path whose elements are vectors: bins and values are of numbers or tokens.

    Raises:
        LookupError: Where an element is a vector.
    """
    if path.space.element_dim:
        raise LookupError(
            f"bins and values are of numbers or tokens, the elements of {path.space} are vectors"
        )


def expect(
    f: Callable[..., Tensor], posterior: Destination, numbers: tuple[Tensor, ...], shape: torch.Size
) -> Tensor:
    """Return the posterior mean of `f(values, *numbers)`, in the shape of the elements.

    It goes through the elements a few at a time, so that no tensor is made of the size of all
    elements times all values.

    Args:
        f: Called with values `(n, k)` and each of the numbers as `(n, 1)`.
        posterior: The distribution of each element.
        numbers: Tensors that broadcast to the elements.
        shape: The shape of the elements.
    """
    flat = posterior.expand(shape).map(lambda v: v.flatten(0, len(shape) - 1))
    rows = [number.expand(shape).flatten()[:, None] for number in numbers]
    count = max(1, _AT_ONCE // _points(flat))
    means = []
    for start in range(0, max(shape.numel(), 1), count):
        few = slice(start, start + count)
        values, weights = flat.at(few).quadrature()
        means.append((weights * f(values, *(row[few] for row in rows))).sum(-1))
    return torch.cat(means).view(shape)


def _points(distribution: Destination) -> int:
    """Return how many points stand for each element of a distribution."""
    return distribution.at(slice(0, 1)).quadrature()[0].shape[-1]
