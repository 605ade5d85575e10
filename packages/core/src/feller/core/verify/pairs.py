"""The distribution of a path given pairs, as samples: each moves on its own way from x_0 to x_1."""

from typing import Any

import torch
from torch import Tensor

from feller.core.generators import Flow
from feller.core.generators.base import is_kind
from feller.core.pairs import Pair
from feller.core.verify.actions import Functions
from feller.core.verify.distributions import Distribution

__all__ = ["drawn_pairs"]


def drawn_pairs(path: Any, pair: Pair, t: float, rng: torch.Generator) -> Distribution:
    """Return a state between both ends of each pair, with the time derivative of its way.

    Args:
        path: A path whose samples move continuously: a bridge, or another one along which the
            source sample of each pair is led to its data point.
        pair: The pairs.
        t: The time.
        rng: Where what else the path draws comes from.

    Raises:
        ValueError: On a path whose samples jump.
    """
    if not is_kind(Flow, path.coupled_kinds):
        raise ValueError(f"pairs are verified where samples move, not on a {type(path).__name__}")
    z, clock = path.given(pair.x_0, pair.x_1), torch.tensor(t, dtype=pair.dtype, device=pair.device)

    def state(t: Tensor) -> Tensor:
        return path.sample(z, t, rng, x_0=pair.x_0)

    x, way = torch.func.jvp(state, (clock,), (torch.ones_like(clock),))[:2]

    def rise(f: Functions) -> Tensor:
        return torch.func.jvp(f, (x,), (way,))[1]

    return Distribution(x, rise, None, "pathwise")
