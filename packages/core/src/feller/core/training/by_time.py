"""The training loss by time: which part of the path a model still has to learn.

The mean loss hides where it falls: near the source a model learns what data are like, near the data
their details. So the log has the loss of each of a few intervals of t.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["BINS", "LossByTime", "bin_names"]

BINS = 5
"""Intervals of time, of one length."""


def bin_names() -> list[str]:
    """Return the names of the intervals.

    Example:
        >>> bin_names()[0]
        't 0.0-0.2'
    """
    return [f"t {k / BINS:.1f}-{(k + 1) / BINS:.1f}" for k in range(BINS)]


@dataclass
class LossByTime:
    """Sums of losses and counts of rows `(2, BINS)`, in each interval of time, on their device.

    Nothing waits for a device before `means`.

    Example:
        >>> seen = LossByTime()
        >>> seen.add(torch.tensor([0.1, 0.15, 0.9]), [torch.tensor([1.0, 3.0, 5.0])])
        >>> seen.means(lambda sums: sums)
        {'t 0.0-0.2': 2.0, 't 0.8-1.0': 5.0}
    """

    sums: Tensor | None = None

    def add(self, t: Float[Tensor, " b"], parts: Iterable[Float[Tensor, " b"]]) -> None:
        """Add rows, whose loss is the sum of its parts; one that is not finite is left out."""
        loss = torch.stack([part.detach().to(t) for part in parts]).sum(0)
        good = loss.isfinite()
        where = (t * BINS).long().clamp(0, BINS - 1)
        # By comparing, not by adding at indices, whose order differs from one time to the next.
        inside = (where[:, None] == torch.arange(BINS, device=t.device)) & good[:, None]
        rows = torch.stack([torch.where(good, loss, 0.0), torch.ones_like(loss)])
        sums = rows @ inside.to(t)
        self.sums = sums if self.sums is None else self.sums + sums

    def means(self, reduce: Any) -> dict[str, float]:
        """Return the mean loss of each interval that had rows, and begin anew.

        Args:
            reduce: Adds up the tensors of all processes.
        """
        if self.sums is None:
            return {}
        sums, counts = reduce(self.sums).tolist()
        self.sums = None
        every = zip(bin_names(), sums, counts, strict=True)
        return {name: total / count for name, total, count in every if count}
