r"""Factors of a product state: their generators act and step one by one, :math:`L = \sum_i L^i`.

The factors of a small step are independent given all of them (Generator Matching, arXiv 2410.20587,
proposition 4).
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from feller.core.times import factor_times
from feller.core.typing import Rng

__all__ = ["apply_factors", "step_factors"]


def apply_factors(factors: Mapping[str, Any], f: Callable[[Any], Tensor], x: Any) -> Tensor:
    """Return the sum over the factors of L^i f, the other factors held where they are."""
    terms = [
        generator.apply(lambda x_i, name=name: f({**x, name: x_i}), x[name])
        for name, generator in factors.items()
    ]
    return torch.stack(terms).sum(0)


def step_factors(factors: Mapping[str, Any], space: Any, x: Any, h: Any, rng: Rng) -> Any:
    """Step each factor; `h` is one time for all, or a time for each by name.

    Raises:
        ValueError: When the space or the state has other factors.
    """
    spaces = getattr(space, "factors", {})
    if not spaces.keys() == x.keys() == factors.keys():
        raise ValueError(f"a product of {sorted(factors)} moves on those factors only")
    h_of = factor_times(h, factors)
    return {
        name: generator.step(spaces[name], x[name], h_of[name], rng)
        for name, generator in factors.items()
    }
