"""L f: what a generator does to test functions, in few dimensions exactly, in many at random.

`Generator.apply` sums over every coordinate of a state. Where there are many, an unbiased estimate
takes its place: for a diffusion, second derivatives along random signs (Hutchinson); for a jump, a
few random elements, each sent to one draw of its destination. Residuals are averaged over states
anyway, and their standard errors count this noise too.

Test functions come together, as one function from states `(b, *event)` to numbers `(b, functions)`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from feller.core import random
from feller.core.generators import Diffusion, Flow, Generator, Jump, Part

__all__ = ["EXACT", "Choice", "Functions", "act", "choose", "moved"]

Functions = Callable[[Any], Tensor]

EXACT = 12
"""Up to so many elements sums run over all of them."""


@dataclass(frozen=True)
class Choice:
    """Which elements of each state stand for all.

    Attributes:
        index: Flat indices of elements, `(b, m)`.
        scale: The number of all elements over that of the chosen.
    """

    index: Tensor
    scale: float


def choose(b: int, elements: int, rng: torch.Generator, device: torch.device) -> Choice:
    """Choose elements for each of `b` states: all of them up to `EXACT`, else so many at random."""
    if elements <= EXACT:
        return Choice(torch.arange(elements, device=device).expand(b, elements), 1.0)
    order = torch.rand(b, elements, generator=rng).topk(EXACT, dim=1).indices
    return Choice(order.to(device), elements / EXACT)


def act(generator: Generator, f: Functions, x: Any, rng: torch.Generator) -> Tensor:
    """Return L f(x), or an unbiased estimate of it, of each state and function: `(b, functions)`.

    The weights of a superposition count as they are, even when they make none.

    Args:
        generator: The generator at `x`.
        f: The test functions.
        x: The states; of a product, a dict of them.
        rng: Where the estimate's randomness comes from.
    """
    terms = [_act_part(part, f, x, rng) for part in generator.leaves()]
    return torch.stack(terms).sum(0)


def _act_part(part: Part, f: Functions, x: Any, rng: torch.Generator) -> Tensor:
    """Return what a part adds; of a product, factor by factor, the others held."""
    generator = part.scaled()
    factors = generator.by_factor()
    if "" in factors:
        return _act_alone(generator, f, x, rng)
    terms = [
        act(factor, lambda x_i, name=name: f({**x, name: x_i}), x[name], rng)
        for name, factor in factors.items()
    ]
    return torch.stack(terms).sum(0)


@singledispatch
def _act_alone(generator: Any, f: Functions, x: Tensor, rng: torch.Generator) -> Tensor:
    count = f(x).shape[1]
    return torch.stack([generator.apply(lambda x, i=i: f(x)[:, i], x) for i in range(count)], 1)


@_act_alone.register
def _flow(flow: Flow, f: Functions, x: Tensor, rng: torch.Generator) -> Tensor:
    return torch.func.jvp(f, (x,), (flow.velocity,))[1]


@_act_alone.register
def _diffusion(diffusion: Diffusion, f: Functions, x: Tensor, rng: torch.Generator) -> Tensor:
    scale = diffusion.covariance.expand_as(x).sqrt()
    n = x[0].numel()
    if n <= EXACT:
        units = torch.eye(n, dtype=x.dtype, device=x.device).view(n, *x.shape[1:])
        directions = [scale * unit for unit in units]
    else:
        directions = [scale * (random.integers(2, x.shape, rng).to(x) * 2 - 1)]
    bend = torch.stack([_second_derivative(f, x, direction) for direction in directions]).sum(0)
    return torch.func.jvp(f, (x,), (diffusion.drift,))[1] + bend / 2


def _second_derivative(f: Functions, x: Tensor, direction: Tensor) -> Tensor:
    def slope(x: Tensor) -> Tensor:
        return torch.func.jvp(f, (x,), (direction,))[1]

    return torch.func.jvp(slope, (x,), (direction,))[1]


@_act_alone.register
def _jump(jump: Jump, f: Functions, x: Tensor, rng: torch.Generator) -> Tensor:
    chosen = choose(len(x), jump.intensity[0].numel(), rng, x.device)
    intensity = jump.intensity.reshape(len(x), -1).gather(1, chosen.index)
    points, weights = _landings(jump, x, chosen, rng)
    before, total = f(x), 0.0
    for e in range(chosen.index.shape[1]):
        change = moved(f, x, points[:, e], chosen.index[:, e]) - before
        rate = intensity[:, e, None] * weights[:, e]
        # Where nothing fires, the destination need not be a distribution.
        rate = torch.where(intensity[:, e, None] > 0, rate, 0.0).to(change)
        total = total + torch.einsum("bq,qbf->bf", rate, change)
    return chosen.scale * torch.as_tensor(total)


def _landings(jump: Jump, x: Tensor, chosen: Choice, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return points `(b, m, *element, q)` and their weights `(b, m, q)`."""
    destination, batch = jump.destination.expand(jump.intensity.shape), jump.intensity.ndim
    size, element = chosen.index.shape, x.shape[batch:]
    rows = torch.arange(len(x), device=x.device)[:, None]
    destination = destination.map(
        lambda v: v.reshape(len(x), -1, *v.shape[batch:])[rows, chosen.index]
    )
    if chosen.scale == 1:
        try:
            points, weights = destination.quadrature()
        except LookupError:  # a distribution of vectors that has no points
            pass
        else:
            weights = weights.flatten(2, -2)[:, :, 0] if weights.ndim > 3 else weights
            return points.expand(*size, *element, points.shape[-1]), weights
    return destination.sample(rng)[..., None], torch.ones(*size, 1, device=x.device)


def moved(f: Functions, x: Tensor, points: Tensor, index: Tensor) -> Tensor:
    """Return f of each state with one element moved to each of its points, `(q, b, functions)`.

    Args:
        f: The test functions.
        x: The states `(b, *event)`.
        points: Where the element goes, `(b, *element, q)`.
        index: Which element, `(b,)`.
    """
    element = points.shape[1:-1]
    flat = x.reshape(len(x), -1, *element)
    rows = torch.arange(len(x), device=x.device)

    def value(point: Tensor) -> Tensor:
        return f(flat.index_put((rows, index), point.to(x.dtype)).view_as(x))

    return torch.vmap(value)(points.movedim(-1, 0))
