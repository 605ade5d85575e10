"""Coefficients of steps: made once for a grid, in double precision, as plain numbers.

A step that makes its coefficients of times as tensors dispatches dozens of operations on single
numbers, which cost more than what is done to the states. Where one clock serves the batch, all of
them are made at once when a simulation begins.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from feller.core.times import expand_time, is_shared
from feller.core.typing import Time

__all__ = ["Coefficients", "combine"]


class Coefficients:
    """What a step multiplies by: numbers where one clock serves the batch, tensors elsewhere.

    Args:
        rule: Returns the coefficients from the times of a step, elementwise.
        steps: The times of each step of a grid, whose coefficients are made at once.

    Example:
        >>> squares = Coefficients(lambda t, s: (t * s, s**2), [(0.0, 0.5), (0.5, 1.0)])
        >>> squares.at(torch.zeros(2, 1), 0.5, 1.0)
        (0.5, 1.0)
        >>> squares.at(torch.zeros(2, 1), torch.tensor([0.0, 0.5]), torch.ones(2))[0].flatten()
        tensor([0.0000, 0.5000])
    """

    def __init__(
        self, rule: Callable[..., tuple[Tensor, ...]], steps: Sequence[tuple[Any, ...]] = ()
    ) -> None:
        self._rule = rule
        self._known: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        if steps and is_shared(steps[0][0]):
            made = rule(*torch.tensor(steps, dtype=torch.float64, device="cpu").T)
            rows = torch.stack(torch.broadcast_tensors(*made)).T.tolist()
            self._known = dict(zip(steps, map(tuple, rows), strict=True))

    def at(self, x: Tensor, *times: Time) -> tuple[Any, ...]:
        """Return the coefficients of one step from or to states `x`; tensors broadcast to them."""
        known = self._known.get(times) if self._known else None
        if known is not None:
            return known
        made = self._rule(*(_clock(time, x) for time in times))
        if not is_shared(times[0]) or torch.compiler.is_compiling():
            return made
        return tuple(float(coefficient) for coefficient in made)


def _clock(t: Time, x: Tensor) -> Tensor:
    if is_shared(t):  # one number meets any device
        return torch.tensor(t, dtype=torch.float64, device="cpu")
    return expand_time(t, x)


def combine(weights: Sequence[float | Tensor], tensors: Sequence[Tensor]) -> Tensor:
    """Return a weighted sum of tensors: one pass for each whose weight is neither 1 nor 0.

    The first tensor costs nothing at weight 1, the others at 0.

    Example:
        >>> combine((1.0, 2.0), (torch.ones(2), torch.ones(2)))
        tensor([3., 3.])
    """
    rest: list[Any]
    (weight, *rest), (total, *others) = weights, tensors
    if not is_shared(weight):
        total = weight * total
        for w, tensor in zip(rest, others, strict=True):
            total = total + w * tensor
        return total
    ours = weight != 1  # what nobody else holds is added to in place
    total = total * weight if ours else total
    for w, tensor in zip(rest, others, strict=True):
        if w:
            total = total.add_(tensor, alpha=w) if ours else torch.add(total, tensor, alpha=w)
            ours = True
    return total
