"""The contract of sources: draws in the space, as the density says, each row for itself."""

from collections.abc import Sequence

import torch
from torch import Tensor

from feller.core import random
from feller.core.sources import Source
from feller.core.spaces import StateSpace
from feller.core.testing.demands import LEAST_P, demand, fit_p_value, table_p_value

__all__ = ["check_source"]

SAMPLES = 10_000


def check_source(source: Source, space: StateSpace, event: Sequence[int]) -> None:
    """Check a source.

    Its draws have the shape and dtype asked for, are points of the space, depend on the rng alone
    and a row only on its own; the density of elements that are numbers or tokens is that of the
    draws and sums to one.

    Args:
        source: The source.
        space: Where it draws.
        event: The shape of a state.

    Raises:
        AssertionError: When one of these does not hold.

    Example:
        >>> from feller.core.sources import Gaussian
        >>> from feller.core.spaces import Euclidean
        >>> check_source(Gaussian(), Euclidean(), (2,))
    """
    name = type(source).__name__
    like = torch.empty(0, dtype=torch.int64 if space.is_discrete else torch.float64)
    rng = torch.Generator()
    x = source.sample((SAMPLES, *event), rng.manual_seed(0), like=like)
    demand(x.shape == (SAMPLES, *event), f"{name} draws shape {tuple(x.shape)} for {event} states")
    demand(x.dtype == like.dtype, f"{name} draws {x.dtype} where `like` is {like.dtype}")
    space.check(x)
    again = source.sample((SAMPLES, *event), rng.manual_seed(0), like=like)
    demand(torch.equal(x, again), f"{name} draws other states from the same seed")
    batch = source.sample((5, *event), random.rows(0, 0, 5), like=like)
    part = source.sample((2, *event), random.rows(0, 3, 5), like=like)
    demand(torch.equal(batch[3:], part), f"a row of {name} depends on other rows")
    density = source.log_density(x)
    elements = x.shape[: x.ndim - space.element_dim]
    demand(
        density.shape == elements,
        f"log_density of {name} has shape {tuple(density.shape)}, not one number an element",
    )
    demand(bool(density.isfinite().all()), f"{name} draws what its log_density rules out")
    if not space.element_dim:
        _check_distribution(source, space, x.flatten(), name)


def _check_distribution(source: Source, space: StateSpace, x: Tensor, name: str) -> None:
    if space.is_discrete:
        size = int(getattr(space, "size", int(x.max()) + 1))
        probabilities = source.log_density(torch.arange(size)).double().exp()
        p, total = table_p_value(x, probabilities), float(probabilities.sum())
    else:
        p, total = fit_p_value(x, source.log_density)
    demand(abs(total - 1) < 2e-3, f"the density of {name} sums to {total:.4f}, not 1")
    demand(p > LEAST_P, f"the draws of {name} do not follow its density: p = {p:.2g}")
