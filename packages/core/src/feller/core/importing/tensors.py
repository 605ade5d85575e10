"""Weights of others, taken one by one under their names: what lacks or is left over is found."""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from feller.core.checkpoint import CheckpointError

__all__ = ["Tensors"]


class Tensors:
    """Weights by name, each of which is taken once.

    Args:
        tensors: The weights.
        file: Where they are from, for errors.

    Example:
        >>> import torch
        >>> held = Tensors({"a.weight": torch.zeros(2, 3), "b": torch.zeros(1)}, Path("x"))
        >>> held.take("a.weight").shape, held.rows("b"), len(held)
        (torch.Size([2, 3]), 1, 1)
        >>> held.end("a Linear")
        Traceback (most recent call last):
        ...
        feller.core.checkpoint.CheckpointError: x has b, which is unknown in a Linear
    """

    def __init__(self, tensors: Mapping[str, Tensor], file: Path) -> None:
        self._left = dict(tensors)
        self._file = file

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def __len__(self) -> int:
        return len(self._left)

    def names(self) -> list[str]:
        """Return the names of what is left."""
        return list(self._left)

    def look(self, name: str) -> Tensor:
        """Return a tensor, which stays.

        Raises:
            CheckpointError: When there is none of that name.
        """
        if name not in self._left:
            raise CheckpointError(f"{self._file} lacks {name}")
        return self._left[name]

    def take(self, name: str) -> Tensor:
        """Return a tensor in single precision at least, and cross it off.

        Raises:
            CheckpointError: When there is none of that name, or it was taken.
        """
        found = self.look(name)
        del self._left[name]
        return found.float() if found.is_floating_point() and found.itemsize < 4 else found

    def rows(self, name: str) -> int:
        """Return the first size of a tensor."""
        shape = self.look(name).shape
        if not shape:
            raise CheckpointError(f"{name} of {self._file} is one number, and has no rows")
        return shape[0]

    def layers(self, name: str, ours: str, kinds: tuple[str, ...] = ("weight", "bias")) -> dict:
        """Take the weight and the bias of a layer, under our name of it."""
        return {f"{ours}.{kind}": self.take(f"{name}.{kind}") for kind in kinds}

    def count(self, prefix: str) -> int:
        """Return how many numbers follow a prefix: the blocks `prefix.0.`, `prefix.1.`, ..."""
        start = re.compile(rf"{re.escape(prefix)}\.(\d+)\.")
        found = {int(match[1]) for match in map(start.match, self._left) if match}
        for i in range(len(found)):
            if i not in found:
                raise CheckpointError(f"{self._file} lacks {prefix}.{i}")
        return len(found)

    def leave(self, pattern: str) -> None:
        """Cross off what no function of the network depends on: names that match all through."""
        self._left = {k: v for k, v in self._left.items() if not re.fullmatch(pattern, k)}

    def end(self, family: str) -> None:
        """Reject what is left.

        Raises:
            CheckpointError: When something is.
        """
        if self._left:
            first, others = min(self._left), len(self._left) - 1
            more = f" ({others} more are)" if others else ""
            raise CheckpointError(f"{self._file} has {first}, which is unknown in {family}{more}")
