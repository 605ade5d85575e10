"""Conditions: what a model is given besides the state and the time.

A condition is a tensor with a row for each sample, or a dict of such tensors by name. In a row that
says nothing numbers are NaN, and classes and ids of tokens -1; None says nothing to any row.
"""

from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["NOTHING", "check_rows", "dropped", "rows_of"]

NOTHING = -1
"""The class, or the id of a token, that says nothing."""


def rows_of(condition: Any, index: Any) -> Any:
    """Return some rows of a condition.

    Args:
        condition: A tensor, a dict of tensors, or None.
        index: A slice, or what else indexes tensors.

    Example:
        >>> rows_of({"class": torch.tensor([3, 4])}, slice(1, 2))
        {'class': tensor([4])}
    """
    return tree_map(lambda value: None if value is None else value[index], condition)


def check_rows(condition: Any, n: int) -> None:
    """Reject a condition without a row for each of `n` samples.

    Raises:
        ValueError: When it is not a tensor, nor a dict of tensors, of `n` rows.

    Example:
        >>> check_rows({"class": torch.tensor([3, 4])}, 2)
    """
    for value in tree_leaves(condition):
        if value is None:
            continue
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise ValueError(f"a condition is a tensor with a row for each sample, not {kind}")
        if value.ndim < 1 or len(value) != n:
            raise ValueError(f"a condition of shape {(*value.shape,)} has no row for each of {n}")


def dropped(condition: Any, where: Bool[Tensor, " b"]) -> Any:
    """Return a condition that says nothing in some rows.

    Args:
        condition: A tensor, a dict of tensors, or None.
        where: The rows.

    Raises:
        ValueError: When a tensor is of a type without -1, such as uint8 or bool.

    Example:
        >>> dropped(torch.tensor([3, 4]), torch.tensor([True, False]))
        tensor([-1,  4])
    """

    def drop(value: Tensor | None) -> Tensor | None:
        if value is None:
            return None
        if not (value.is_floating_point() or value.dtype.is_signed):
            raise ValueError(f"a condition of {value.dtype} has no -1: make it torch.int64")
        rows = where.to(value.device).reshape(-1, *(1,) * (value.ndim - 1))
        return value.masked_fill(rows, torch.nan if value.is_floating_point() else NOTHING)

    return tree_map(drop, condition)
