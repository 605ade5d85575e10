"""Readings: what a loss asks of a model's logits, a part of them at a time.

The logits of a batch are b n k numbers, gigabytes for a large vocabulary. A loss needs one number
for each element. So it hands the model a function from logits to such numbers; the model applies it
to a chunk of elements at a time, and computes each chunk again in the backward pass.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["Reading", "read_chunks"]

CHUNK = 2**25
"""Logits that are in memory at once: 128 MiB of them."""


@dataclass(frozen=True)
class Reading:
    """A function of the logits of some elements.

    Attributes:
        function: Called with logits `(m, k)` and the slice of their positions in the list of the
            elements in `where`; returns `(m,)`.
        where: The elements to read, row by row; all if None. The others never reach the head.
    """

    function: Callable[[Tensor, slice], Tensor]
    where: Bool[Tensor, "b n"] | None = None


def read_chunks(
    function: Callable[[slice], Tensor], elements: int, logits: int
) -> Float[Tensor, " m"]:
    """Apply a function to slices of a list of elements, so that few logits exist at once.

    Args:
        function: Computes the logits of a slice and what is asked of them.
        elements: Length of the list.
        logits: Logits of an element.
    """
    rows = max(1, CHUNK // logits)
    parts = [slice(i, min(i + rows, elements)) for i in range(0, elements, rows)]
    if len(parts) < 2:
        return function(slice(0, elements))
    return torch.cat([checkpoint(function, part, use_reentrant=False) for part in parts])
