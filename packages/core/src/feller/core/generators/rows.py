"""Rows of probabilities: an index drawn from each, an entry picked from each, Gauss points."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.checks import check_totals
from feller.core.typing import Rng

__all__ = ["draw_category", "gauss_points", "pick"]


def draw_category(probabilities: Float[Tensor, "*batch k"], rng: Rng) -> Tensor:
    """Draw an index from each row of unnormalised probabilities, by inverting the running sum.

    The sum runs in float64: in float32 it would lose rare categories.

    Raises:
        ValueError: When a row sums to 0, infinity or NaN, where looking costs nothing
            (`feller.core.checks`).
    """
    running = probabilities.double().cumsum(-1)
    check_totals(running[..., -1])
    u = random.uniform(running.shape[:-1], rng, like=running)[..., None]
    found = torch.searchsorted(running, u * running[..., -1:], right=True)
    return found.squeeze(-1).clamp_max(probabilities.shape[-1] - 1)


def gauss_points(n: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return Gauss-Legendre nodes and weights on [0, 1]."""
    nodes, weights = _gauss_points(n)
    return like.new_tensor(nodes), like.new_tensor(weights)


@cache
def _gauss_points(n: int) -> tuple[np.ndarray, np.ndarray]:
    # numpy solves an eigenvalue problem at each call.
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2


def pick(rows: Tensor, index: Tensor, exists: Tensor) -> Tensor:
    """Return each row's entry at an index, minus infinity where there is none."""
    safe = torch.where(exists, index, 0)[..., None]
    batch = torch.broadcast_shapes(rows.shape[:-1], index.shape)
    rows, safe = rows.expand(*batch, rows.shape[-1]), safe.expand(*batch, 1)
    return rows.gather(-1, safe).squeeze(-1).masked_fill(~exists, -torch.inf)
