"""Test functions: a bank of smooth numbers of a state, for any space.

Each is a sine, a cosine or a hyperbolic tangent of a **phase**, a random weighted sum over the
coordinates of a state. Coordinates that wrap enter by their sines, those of an interval by cosines
that are flat at its ends (where a reflected process allows no other), tokens by a table of random
numbers. So the functions are smooth, bounded, and fit the space.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from feller.core.spaces import ProductSpace, StateSpace, Torus

__all__ = ["Statistics", "bank", "interval"]

Phase = Callable[[Any], Tensor]


@dataclass(frozen=True)
class Statistics:
    """Test functions.

    Attributes:
        names: Their names in reports.
        values: From states `(b, *event)` to numbers `(b, functions)`, row by row; for a flow or a
            diffusion, differentiable by `torch.func.jvp`.
    """

    names: tuple[str, ...]
    values: Callable[[Any], Tensor]


def bank(space: Any, z: Any, *, count: int = 2, seed: int = 0) -> Statistics:
    """Return 3 `count` test functions.

    Args:
        space: The space; on a product the phases of the factors are added.
        z: A batch of states, for their shape.
        count: How many phases.
        seed: Chooses the weights.

    Example:
        >>> from feller.core.spaces import Euclidean
        >>> bank(Euclidean(), torch.zeros(1, 2), count=1).names
        ('sin 1', 'cos 1', 'tanh 1')
    """
    rng = torch.Generator().manual_seed(seed)
    phases = [_phase(space, z, rng) for _ in range(count)]
    waves = (torch.sin, torch.cos, torch.tanh)
    names = tuple(f"{wave.__name__} {i}" for i in range(1, count + 1) for wave in waves)

    def values(x: Any) -> Tensor:
        turned = (phase(x) for phase in phases)
        return torch.stack([wave(phase) for phase in turned for wave in waves], -1)

    return Statistics(names, values)


def _phase(space: Any, z: Any, rng: torch.Generator) -> Phase:
    if isinstance(space, ProductSpace):
        parts = {name: _phase(factor, z[name], rng) for name, factor in space.factors.items()}
        return lambda x: _sum(parts, x)
    n = z[0].numel()
    if space.is_discrete:
        table = torch.randn(n, space.size, generator=rng, dtype=torch.float64).to(z.device)
        positions = torch.arange(n, device=z.device)
        return lambda x: table[positions, x.reshape(-1, n)].sum(1) / n**0.5
    # Near 1.5 a sine bends over the width of a source; the average over coordinates keeps it so.
    weights = 1.5 * torch.randn(n, generator=rng, dtype=torch.float64) / n**0.5
    chart = _chart(space, n, rng)
    return lambda x: chart(x.reshape(len(x), n)) @ weights.to(x)


def _sum(parts: Mapping[str, Phase], x: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([part(x[name]) for name, part in parts.items()]).sum(0)


def _chart(space: StateSpace, n: int, rng: torch.Generator) -> Callable[[Tensor], Tensor]:
    """Return smooth numbers of the coordinates, which fit the space."""
    if isinstance(space, Torus):
        shift = 2 * math.pi * torch.rand(n, generator=rng, dtype=torch.float64)
        return lambda x: torch.sin(x + shift.to(x))
    ends = interval(space)
    if ends is None:
        return lambda x: x
    low, high = ends
    waves = torch.randint(1, 3, (n,), generator=rng)
    return lambda x: torch.cos(torch.pi * waves.to(x) * (x - low) / (high - low))


def interval(space: Any) -> tuple[float, float] | None:
    """Return the ends of a space that has them."""
    low, high = getattr(space, "low", None), getattr(space, "high", None)
    return None if low is None or high is None else (float(low), float(high))
