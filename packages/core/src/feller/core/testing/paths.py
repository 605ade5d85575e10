"""The contract of conditional paths: from the source to the data, on any clock."""

import math
from typing import Any

import torch
from torch import Tensor

from feller.core import random
from feller.core.pairs import is_pair
from feller.core.spaces import Torus
from feller.core.testing.demands import (
    LEAST_P,
    demand,
    demand_close,
    fit_p_value,
    table_p_value,
)
from feller.core.verify.functions import interval

__all__ = ["check_path"]

SAMPLES = 10_000


def check_path(path: Any, z: Any, *, ends_at_data: bool = True) -> None:
    """Check a path.

    At t = 0 a state is the source sample, at t = 1 the data point; between it is in the space, with
    the dtype of the data. One clock, a clock a sample and a clock an element mean the same, and a
    row depends on its own rng only. Where there is a `log_density` of elements that are numbers or
    tokens, samples follow it.

    Args:
        path: The path.
        z: At least two data points, batch first; on a bridge, pairs.
        ends_at_data: Whether all noise is gone at t = 1; False for a path that keeps some.

    Raises:
        AssertionError: When one of these does not hold.

    Example:
        >>> from feller.core.paths import GaussianPath
        >>> check_path(GaussianPath(), torch.tensor([[0.5, 1.0], [-1.0, 0.2]]))
    """
    name = type(path).__name__
    rng, end = torch.Generator(), _end(z)
    path.space.check(end)
    x_0 = path.sample_source(z.shape, rng.manual_seed(0), like=end)
    between = path.sample(z, 0.6, rng, x_0=x_0)
    path.space.check(between)
    demand(between.dtype == z.dtype, f"{name} returns {between.dtype} for data of {z.dtype}")
    leak = 0.05 * float(1 + end.double().abs().max()) if end.is_floating_point() else 0.0
    for t in _clocks(path, z, 0.0):
        x = path.sample(z, t, rng, x_0=x_0)
        demand_close(x, x_0, f"a state of {name} at t = 0, beside its source sample,", within=leak)
    for t in _clocks(path, z, 1.0) if ends_at_data else ():
        x = path.sample(z, t, rng, x_0=x_0)
        demand(torch.equal(x, end), f"a state of {name} at t = 1 is not exactly its data point")
    one, *others = (path.sample(z, t, rng.manual_seed(1), x_0=x_0) for t in _clocks(path, z, 0.6))
    for other in others:
        demand_close(other, one, f"{name} on a clock of another shape")
    if ends_at_data:
        _check_known(path, z, x_0, name)
    t = torch.linspace(0.1, 0.9, len(z))
    batch = path.sample(z, t, random.rows(0, 0, len(z)))
    row = path.sample(z[1:], t[1:], random.rows(0, 1, len(z)))
    demand(torch.equal(batch[1:], row), f"a row of {name} depends on other rows")
    _check_distribution(path, z, name)


def _end(z: Any) -> Tensor:
    return z.x_1 if is_pair(z) else z


def _clocks(path: Any, z: Any, value: float) -> list[Any]:
    """Return one time as a float, a number a sample and a number an element."""
    elements = z.shape[: z.ndim - path.space.element_dim]
    return [value, torch.full(z.shape[:1], value), torch.full(elements, value)]


def _check_known(path: Any, z: Any, x_0: Tensor, name: str) -> None:
    """Let every second element be known: its clock is at 1."""
    elements = z.shape[: z.ndim - path.space.element_dim]
    known = torch.arange(elements[1:].numel()) % 2 == 0
    known = known.expand(len(z), -1).reshape(elements)
    rng = torch.Generator()
    x = path.sample(z, torch.where(known, 1.0, 0.3), rng.manual_seed(0), x_0=x_0)
    demand(
        torch.equal(x[known], _end(z)[known]), f"a known element of {name}, at t = 1, does not stay"
    )
    alone = path.sample(z, 0.3, rng.manual_seed(0), x_0=x_0)
    beside = f"an element of {name} beside known ones"
    demand_close(x[~known], alone[~known], beside)


def _ends(space: Any) -> tuple[float, float] | None:
    """Return the ends of a space of numbers that has some."""
    return (-math.pi, math.pi) if isinstance(space, Torus) else interval(space)


def _check_distribution(path: Any, z: Any, name: str, t: float = 0.4) -> None:
    if path.space.element_dim or not hasattr(path, "log_density"):
        return
    event = (1,) * path.space.event_dim

    def first(ends: Tensor) -> Tensor:
        return ends.reshape(len(ends), -1)[0, 0].reshape(1, *event)

    point = z.map(first) if is_pair(z) else first(z)
    rows = point[torch.zeros(SAMPLES, dtype=torch.int64)]
    x = path.sample(rows, t, torch.Generator().manual_seed(2)).flatten()

    def log_density(x: Tensor) -> Tensor:
        clock = torch.tensor(t, dtype=torch.float64)
        return path.log_density(x.reshape(-1, *event), clock, point).flatten()

    try:
        if path.space.is_discrete:
            probabilities = log_density(torch.arange(path.space.size)).double().exp()
            p, total = table_p_value(x, probabilities), float(probabilities.sum())
        else:
            p, total = fit_p_value(x, log_density, _ends(path.space))
    except ValueError:  # a distribution with atoms has no density
        return
    demand(abs(total - 1) < 2e-3, f"the density of {name} sums to {total:.4f} at t = {t}, not 1")
    demand(p > LEAST_P, f"the states of {name} do not follow its density at t = {t}: p = {p:.2g}")
