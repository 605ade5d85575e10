r"""The distribution p_t of a path as weighted states, and how fast means change under it.

A distribution is a list of states x_i, with d/dt E f = sum_i r_i(f): four ways lead there.

- **quadrature** over a grid, or **enumeration** of all states, with the density p_t and its slope:
  r_i(f) = f(x_i) d/dt p_t(x_i), exact to rounding;
- **pathwise**, along the way of x_t at fixed x_0: r_i(f) = grad f(x_i) . dx_i/dt;
- **switching**, for the mixture path, whose elements are z or x_0: r(f) = kappa_dot times the sum
  over elements of f with the element at z less f with it at x_0;
- **score**, by the slope of the log density: r_i(f) = f(x_i) d/dt log p_t(x_i | z).

The last three are averages over samples, in any dimension; factors of a product add.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from feller.core.generators import Generator
from feller.core.pairs import is_pair
from feller.core.paths import MixturePath, ProductPath
from feller.core.verify.actions import Functions, choose, moved
from feller.core.verify.cells import Weighted, cells_of
from feller.core.verify.functions import Statistics, interval

__all__ = ["Distribution", "Method", "Sums", "drawn", "exact", "pathwise", "switched", "weighed"]

Method = Literal["quadrature", "enumeration", "pathwise", "switching", "score"]

STATES = 4096
STEP = 1e-3
SMOOTH = 1e-6


@dataclass(frozen=True)
class Distribution:
    """States at one time.

    Attributes:
        states: The states `(b, *event)`; of a product, a dict of them.
        rise: From test functions to the contributions of the states to d/dt E f, `(b, functions)`.
        weights: The weight of each state where these sum the distribution exactly; None for
            samples, all alike, whose contributions are averaged.
        method: How it was obtained.
        is_set: Whether the states are one stratified draw, spread evenly.
    """

    states: Any
    rise: Callable[[Functions], Tensor]
    weights: Tensor | None
    method: str
    is_set: bool = False


@dataclass(frozen=True)
class Sums:
    """How distributions are summed exactly on a space that the core knows no sums of.

    Attributes:
        distribution: From a path, data points, their weights and a time to the distribution, as
            `exact`.
        functions: From data points to test functions for which the sums are exact.
        landings: Gives the destinations of a generator points for which they are exact too.
    """

    distribution: Callable[[Any, Any, Tensor, float], Distribution | None]
    functions: Callable[[Any], Statistics]
    landings: Callable[[Generator], Generator]


def exact(path: Any, points: Any, weights: Tensor, t: float) -> Distribution | None:
    """Return the distribution as a sum over all states, or None where there are too many, or edges.

    Args:
        path: The path.
        points: The data `(k, *event)`, or pairs.
        weights: Their probabilities `(k,)`.
        t: The time, away from 0 and 1 by more than 1e-5.
    """
    if isinstance(path, ProductPath) or isinstance(points, Mapping):
        return None
    if is_pair(points) and not is_pair(path.given(points.x_0, points.x_1)):
        return None  # given a pair nothing is left to draw, and there is no density
    n = points[0].numel()
    discrete = path.space.is_discrete
    if (path.space.size**n > STATES) if discrete else n != 1:
        return None
    if isinstance(path, MixturePath) and not discrete:
        return _atoms_and_line(path, points, weights, t)
    if not _has_density(path, points):
        return None
    return (_enumeration if discrete else _line)(path, points, weights, t)


def drawn(
    path: Any, z: Any, t: float, rng: torch.Generator, *, method: Method | None = None
) -> Distribution:
    """Return the distribution as samples, one given each row of `z`.

    Args:
        path: The path.
        z: Data points, drawn from their distribution.
        t: The time.
        rng: Where randomness comes from.
        method: `pathwise`, `switching` or `score`; if None, by the path: switching for mixtures,
            score on discrete spaces, else pathwise.
    """
    if isinstance(path, ProductPath):
        factors = {n: drawn(p, z[n], t, rng, method=method) for n, p in path.factors.items()}
        return _product(factors)
    if method is None:
        discrete = "score" if path.space.is_discrete else "pathwise"
        method = "switching" if isinstance(path, MixturePath) else discrete
    made = {"pathwise": _pathwise, "switching": _switching, "score": _score}
    if method not in made:
        raise ValueError(f"samples come by {', '.join(made)}, not by {method}")
    return made[method](path, z, t, rng)


def _product(factors: Mapping[str, Distribution]) -> Distribution:
    x = {name: marginal.states for name, marginal in factors.items()}

    def rise(f: Functions) -> Tensor:
        each = [
            marginal.rise(lambda x_i, name=name: f({**x, name: x_i}))
            for name, marginal in factors.items()
        ]
        return torch.stack(each).sum(0)

    return Distribution(x, rise, None, " x ".join(marginal.method for marginal in factors.values()))


def pathwise(
    path: Any, z: Tensor, t: float, x_0: Tensor, weights: Tensor | None = None
) -> Distribution:
    """Return the states that source samples are at, each with its way.

    Args:
        path: The path.
        z: Data points, one for each source sample.
        t: The time.
        x_0: Source samples; with weights, points that stand for the source.
        weights: Their probabilities.
    """
    clock = torch.tensor(t, dtype=z.dtype, device=z.device)

    def state(t: Tensor) -> Tensor:
        return path.sample(z, t, x_0=x_0)

    x, way = torch.func.jvp(state, (clock,), (torch.ones_like(clock),))[:2]

    def rise(f: Functions) -> Tensor:
        slope = torch.func.jvp(f, (x,), (way,))[1]
        return slope if weights is None else weights[:, None] * slope

    return Distribution(x, rise, weights, "pathwise" if weights is None else "quadrature")


def _pathwise(path: Any, z: Tensor, t: float, rng: torch.Generator) -> Distribution:
    return pathwise(path, z, t, path.sample_source(z.shape, rng, like=z))


def _switching(path: MixturePath, z: Tensor, t: float, rng: torch.Generator) -> Distribution:
    x_0 = path.sample_source(z.shape, rng, like=z)
    x = path.sample(z, t, rng, x_0=x_0)
    batch = z.ndim - path.space.element_dim
    size = z.shape[batch:]
    ends = torch.stack([z, x_0], -1).reshape(len(z), -1, *size, 2)
    chosen = choose(len(z), ends.shape[1], rng, z.device)
    rows = torch.arange(len(z), device=z.device)[:, None]
    ends = ends[rows, chosen.index]
    kappa_dot = float(path.schedule.alpha_dot(torch.tensor(t, dtype=torch.float64)))

    def rise(f: Functions) -> Tensor:
        pairs = [moved(f, x, ends[:, e], chosen.index[:, e]) for e in range(ends.shape[1])]
        return kappa_dot * chosen.scale * torch.stack([at_z - at_0 for at_z, at_0 in pairs]).sum(0)

    return Distribution(x, rise, None, "switching")


def _score(path: Any, z: Tensor, t: float, rng: torch.Generator) -> Distribution:
    x = path.sample(z, t, rng)
    slope = _slope(lambda t: _log_density(path, x, t, z), t)
    return Distribution(x, lambda f: f(x) * slope[:, None], None, "score")


def _enumeration(path: Any, points: Any, weights: Tensor, t: float) -> Distribution:
    token = torch.arange(path.space.size, device=points.device)
    n = points[0].numel()
    x = torch.cartesian_prod(*[token] * n).reshape(-1, *points.shape[1:])
    cells = Weighted(x, torch.ones(len(x), dtype=torch.float64, device=x.device))
    return weighed(path, Weighted(points, weights), t, cells, "enumeration")


def _line(path: Any, points: Any, weights: Tensor, t: float) -> Distribution | None:
    """Return the density on a grid, or None when it has edges that the grid would blur."""

    def sample(z: Any, rng: torch.Generator) -> Tensor:
        return path.sample(z, t, rng)

    cells = cells_of(sample, points, interval(path.space))
    marginal = weighed(path, Weighted(points, weights), t, cells, "quadrature")
    # Two sums, each of every second cell, differ by what an edge between two cells is worth.
    slope = marginal.rise(lambda x: torch.ones(len(x), 1, dtype=torch.float64, device=x.device))
    edge = 2 * (slope[::2].sum() - slope[1::2].sum()).abs()
    return marginal if edge < SMOOTH else None


def _atoms_and_line(path: MixturePath, points: Tensor, weights: Tensor, t: float) -> Distribution:
    def sample(z: Tensor, rng: torch.Generator) -> Tensor:
        return path.sample_source(z.shape, rng, like=z)

    cells = cells_of(sample, points, interval(path.space) or interval(path.source))
    return switched(path, Weighted(points, weights), t, cells)


def switched(path: MixturePath, data: Weighted, t: float, cells: Weighted) -> Distribution:
    """Return the distribution of a mixture path of one element: atoms at the data, then the source.

    Args:
        path: The path.
        data: The points, and their probabilities.
        t: The time.
        cells: Where the source is summed.
    """
    (points, weights), (x, cell) = data, cells
    clock = torch.tensor(t, dtype=torch.float64, device=points.device)
    kappa, kappa_dot = path.schedule.alpha(clock), path.schedule.alpha_dot(clock)
    source = path.source.log_density(x).reshape(-1).exp() * cell
    masses = torch.cat([kappa * weights, (1 - kappa) * source])
    slope = kappa_dot * torch.cat([weights, -source])
    states = torch.cat([points, x.to(points)])
    return Distribution(states, lambda f: f(states) * slope[:, None], masses, "quadrature")


def weighed(path: Any, data: Weighted, t: float, cells: Weighted, method: str) -> Distribution:
    """Return states with the density of the path, times the size of a cell, as their weights.

    Args:
        path: A path with a `log_density`.
        data: The points, and their probabilities.
        t: The time.
        cells: Where it is summed.
        method: What reports call this.
    """
    (points, weights), (x, cell) = data, cells

    def masses(t: float) -> Tensor:
        return _log_density(path, x[:, None], t, points[None]).exp() @ weights * cell

    mass, slope = masses(t), _slope(masses, t)
    # Where there is nothing, a generator need not be a number.
    there = (mass != 0) | (slope != 0)
    states, mass, slope = x[there].to(points.dtype), mass[there], slope[there]
    return Distribution(states, lambda f: f(states) * slope[:, None], mass, method)


def _slope(f: Callable[[float], Tensor], t: float) -> Tensor:
    """Return f'(t) from four points, as far apart as the nearer end allows: right to fourth order.

    A density of tokens is 0 at some, where its logarithm has no derivative that torch knows.
    """
    h = STEP * min(t, 1 - t)
    near, far = f(t + h) - f(t - h), f(t + 2 * h) - f(t - 2 * h)
    return (8 * near - far) / (12 * h)


def _has_density(path: Any, points: Any) -> bool:
    """Return whether a path knows its density; one that does not may raise a `ValueError`."""
    try:
        _log_density(path, points.x_1 if is_pair(points) else points, 0.5, points)
    except (AttributeError, ValueError):
        return False
    return True


def _log_density(path: Any, x: Tensor, t: float, z: Any) -> Tensor:
    """Return log p_t(x | z) of whole states: summed over what the event has of axes."""
    clock = torch.tensor(t, dtype=torch.float64, device=x.device)
    density = path.log_density(x, clock, z)
    batch = x.ndim - path.space.event_dim
    return density.flatten(batch).sum(-1) if density.ndim > batch else density
