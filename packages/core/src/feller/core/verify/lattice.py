"""Quasi-random states: points that fill a few dimensions evenly, in sets that are each unbiased.

A set of scrambled Sobol points is a draw of n states that are not independent but spread evenly:
its mean of a function errs by about 1 / n where independent draws err by 1 / sqrt(n), and so it
detects a rate that is a percent off in three dimensions. Sets are independent of each other, so a
few of them have a standard error. Source: Owen, Monte Carlo theory, methods and examples,
chapter 17.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from feller.core import random
from feller.core.pairs import is_pair
from feller.core.paths import MixturePath
from feller.core.sources import Gaussian, UniformBox
from feller.core.verify.distributions import Distribution, pathwise
from feller.core.verify.reference import Reference

__all__ = ["SETS", "even", "student"]

SETS = 32
"""How many sets."""
DIMENSIONS = 12
"""Up to so many numbers a state."""

_QUANTILES: dict[type, Callable[[Any, Tensor], Tensor]] = {
    Gaussian: lambda source, u: torch.special.ndtri(u),
    UniformBox: lambda source, u: source.low + (source.high - source.low) * u,
}


def even(
    path: Any, reference: Reference, t: float, samples: int, seed: int
) -> Iterator[tuple[Distribution, Tensor | None]]:
    """Yield sets of evenly spread states and their conditions; none where a path has none.

    Args:
        path: The path: one whose states move along a way from a source of known quantiles.
        reference: The data.
        t: The time.
        samples: How many states, in `SETS` sets together.
        seed: Chooses the sets.
    """
    points = reference.points
    quantile = _QUANTILES.get(type(getattr(path, "source", None)))
    if quantile is None or isinstance(points, Mapping) or isinstance(path, MixturePath):
        return
    if is_pair(points):
        return  # their ways may draw more than the source
    n = points[0].numel()
    if not 1 <= n <= DIMENSIONS or path.space.is_discrete or samples < 16 * SETS:
        return
    for i in range(SETS):
        engine = torch.quasirandom.SobolEngine(
            n + 1, scramble=True, seed=random.seed_of(seed, t, "even", i) % 2**31
        )
        u = engine.draw(2 ** int(math.log2(samples // SETS)), dtype=torch.float64)
        u = u.clamp(1e-12, 1 - 1e-12).to(points.device)
        z, condition = reference.at(u[:, 0])
        x_0 = quantile(path.source, u[:, 1:]).reshape(z.shape).to(z)
        yield pathwise(path, z, t, x_0), condition


def student(errors: float, count: int) -> float:
    """Return how many standard errors of `count` draws are as rare as `errors` of very many.

    Example:
        >>> round(student(5.0, 32), 1), round(student(5.0, 10**6), 1)
        (6.3, 5.0)
    """
    from scipy.special import ndtr, stdtrit

    return -float(stdtrit(count - 1, ndtr(-errors)))
