"""Cells of a line: where a distribution of one number is summed, fine wherever it is narrow."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Weighted", "cells_of"]

CELLS = 8000
DRAWN = 4096


class Weighted(NamedTuple):
    """Data and their probabilities, or states and how large a part of the space each stands for.

    Attributes:
        points: The points `(k, *event)`, or pairs.
        weights: The weight of each `(k,)`.
    """

    points: Any
    weights: Tensor


def cells_of(
    sample: Callable[[Any, torch.Generator], Tensor],
    points: Any,
    ends: tuple[float, float] | None,
) -> Weighted:
    """Return the middles of cells between the ends, or over three times the reach of samples.

    Where samples of some data points lie apart from those of others, nothing between is summed.
    """
    if ends is not None:
        spans = [ends]
    else:
        count = -(-DRAWN // len(points))
        z = points[torch.arange(len(points)).repeat_interleave(count)].to(torch.float64)
        drawn = sample(z, torch.Generator().manual_seed(0)).reshape(len(points), -1)
        reach = torch.stack([drawn.amin(1), drawn.amax(1)], 1).tolist()
        spans = [(2 * low - high, 2 * high - low) for low, high in reach]
    finest = min(high - low for low, high in spans) / CELLS
    parts = [_divided(span, finest, points) for span in _joined(spans)]
    middles, sizes = (torch.cat(each) for each in zip(*parts, strict=True))
    return Weighted(middles.reshape(-1, *points.shape[1:]), sizes)


def _divided(span: tuple[float, float], finest: float, like: Any) -> tuple[Tensor, Tensor]:
    """Return the middles of an even number of equal cells, and the size of each."""
    count = 2 * min(round((span[1] - span[0]) / finest / 2), 10 * CELLS)
    cell = (span[1] - span[0]) / count
    middles = torch.arange(count, dtype=torch.float64, device=like.device) + 0.5
    return span[0] + cell * middles, torch.full_like(middles, cell)


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the spans with those that overlap made one.

    Example:
        >>> _joined([(2.0, 3.0), (0.0, 1.0), (0.5, 1.5)])
        [(0.0, 1.5), (2.0, 3.0)]
    """
    joined: list[tuple[float, float]] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined
