"""Draws of destinations: a landing point for each element where an event fired, and only there.

However many events there are, no more than `MOST` numbers of a destination are turned into
probabilities at once: beside the network's output no tensor of its size is made.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from feller.core import random
from feller.core.generators.destinations import Destination
from feller.core.typing import Ragged, Rng

__all__ = ["MOST", "Index", "draw_where", "land_where"]

MOST = 2**20

Index = tuple[Tensor, ...]


def draw_where(
    destination: Destination, chosen: Bool[Tensor, "*elements"], rng: Rng
) -> tuple[Index, Tensor]:
    """Draw from the distributions of the chosen elements.

    With a generator a row, what a row draws does not depend on the rows beside it.

    Returns:
        The index of the chosen elements, and where they land, element by element.
    """
    index = chosen.nonzero(as_tuple=True)
    total, each = len(index[0]), destination.expand(chosen.shape)
    rng, most = random.ragged(rng, chosen), _most(each, index)
    if total <= most:
        return index, each.at(index).sample(rng)
    landed, start = [], 0
    for count, mine in _pieces(total, most, rng):
        part = tuple(axis[start : start + count] for axis in index)
        landed.append(each.at(part).sample(mine))
        start += count
    return index, torch.cat(landed)


def land_where(
    destination: Destination, x: Tensor, fired: Bool[Tensor, "*elements"], rng: Rng
) -> Tensor:
    """Return the states with the elements where an event fired moved to draws."""
    index, landed = draw_where(destination, fired, rng)
    return x.index_put(index, landed.to(x.dtype))


def _most(each: Destination, index: Index) -> int:
    """Return of how many elements at once the distributions may be drawn from."""
    sizes = [1]

    def measure(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    if len(index[0]):
        each.at(tuple(axis[:1] for axis in index)).map(measure)
    return max(1, MOST // max(sizes))


def _pieces(total: int, most: int, rng: Rng) -> Iterator[tuple[int, Rng]]:
    """Yield sizes that add up to the total, each with the generators of its elements.

    A row of few elements stays whole and a row of many is cut at the same positions whatever lies
    beside it, since each may draw more than once from its generator.
    """
    if not isinstance(rng, Ragged):
        yield from ((min(most, total - start), rng) for start in range(0, total, most))
        return
    generators: list[torch.Generator] = []
    counts: list[int] = []
    for generator, count in zip(rng.generators, rng.counts, strict=True):
        for part in _cut(count, most):
            if sum(counts) + part > most:
                yield sum(counts), Ragged(generators, counts)
                generators, counts = [], []
            generators.append(generator)
            counts.append(part)
    yield sum(counts), Ragged(generators, counts)


def _cut(count: int, most: int) -> Sequence[int]:
    return [most] * (count // most) + [count % most] * (count % most > 0)
