r"""`feller verify` for rotations: examples of their paths, whose distributions are summed exactly.

Given one data point z a distribution is :math:`x = z \exp(w n)` with n uniform on the sphere and a
density of the angle w, so it is a sum over angles (Gauss points on both sides of the edge, where a
jump's intensity bends) times axes. A test function is a polynomial of degree 3 in the entries of x,
hence of degree 6 in n at each angle: 28 axes give its mean over the sphere exactly. The same axes
stand for where jumps land. Given several points states are drawn.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from feller.core.generators import (
    Destination,
    Either,
    FromSource,
    Generator,
    Jump,
    Mixture,
    Point,
    Superposition,
)
from feller.core.generators.rows import gauss_points
from feller.core.paths import GeodesicPath, MixturePath
from feller.core.schedules import Cosine
from feller.core.verify import Example, Examples, Statistics, Sums
from feller.core.verify.cells import Weighted
from feller.core.verify.distributions import Distribution, pathwise, switched, weighed
from feller.proteins.so3.destinations import About
from feller.proteins.so3.paths import FisherPath, HeatKernelPath, IsotropicPath
from feller.proteins.so3.radial import RadialDistribution
from feller.proteins.so3.rotations import Rotations, exp
from feller.proteins.so3.solutions import isotropic_langevin
from feller.proteins.so3.sources import UniformRotations

__all__ = ["examples", "polynomials", "with_points"]

INSIDE, OUTSIDE = 10, 20  # Gauss points of the angle, each side of the edge

Angles = tuple[Tensor, Tensor]
"""Angles, and the measure of each."""


def examples() -> Examples:
    """Return the examples of the paths of rotations, and their correctors."""
    return Examples(
        {IsotropicPath: _isotropic, GeodesicPath: _geodesic, MixturePath: _mixture},
        {"langevin": (IsotropicPath, isotropic_langevin)},
    )


def polynomials(points: Tensor) -> Statistics:
    """Return two random sums over the entries of a rotation, and their squares and cubes.

    Args:
        points: Data `(k, 1, 3, 3)`, for their shape.

    Example:
        >>> polynomials(torch.eye(3).view(1, 1, 3, 3)).names
        ('p', 'p^2', 'p^3', 'q', 'q^2', 'q^3')
    """
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(points[0].numel(), 2, generator=rng, dtype=torch.float64)
    weights = weights / weights.norm(dim=0)

    def values(x: Tensor) -> Tensor:
        p = x.flatten(1) @ weights.to(x)
        return torch.stack([p, p**2, p**3], -1).flatten(1)

    return Statistics(("p", "p^2", "p^3", "q", "q^2", "q^3"), values)


def with_points(generator: Generator) -> Generator:
    """Return a generator whose jumps have destinations with points, exact for `polynomials`."""
    if isinstance(generator, Superposition):
        parts = (replace(p, generator=with_points(p.generator)) for p in generator.parts)
        return Superposition(tuple(parts))
    if isinstance(generator, Jump):
        return replace(generator, destination=_landings(generator.destination))
    return generator


def _isotropic() -> list[Example]:
    kinds, sums = ("flow", "diffusion", "jump", "langevin"), _sums(_about_data)
    paths = (FisherPath(), HeatKernelPath())
    return [
        *(Example(path, _points(), kinds, sums=sums) for path in paths),
        Example(FisherPath(schedule=Cosine()), _points(), ("jump",), marginal=True, sums=sums),
    ]


def _geodesic() -> list[Example]:
    path = GeodesicPath(Rotations(), UniformRotations())
    return [Example(path, _points(), ("flow",), sums=_sums(_carried))]


def _mixture() -> list[Example]:
    path, kinds = MixturePath(Rotations(), UniformRotations()), ("jump", "corrector")
    return [Example(path, _points(), kinds, marginal=True, sums=_sums(_mixed))]


def _points() -> Tensor:
    turns = torch.tensor([[0.4, -1.1, 0.7], [-0.9, 0.2, 1.5]], dtype=torch.float64)
    return exp(turns)[:, None]


def _sums(exact: Callable[[Any, Tensor, float], Distribution]) -> Sums:
    """Return sums for states of one rotation, given one data point; others are drawn."""

    def alone(path: Any, points: Tensor, weights: Tensor, t: float) -> Distribution | None:
        return exact(path, points, t) if points.numel() == 9 else None

    return Sums(alone, polynomials, with_points)


def _about_data(path: Any, z: Tensor, t: float) -> Distribution:
    """Return the distribution of an isotropic path by its density."""
    angles = _angles(path.family, path.parameter(torch.tensor(t, dtype=torch.float64)))
    return weighed(path, Weighted(z, z.new_ones(1)), t, _cells(z, angles), "quadrature")


def _carried(path: Any, z: Tensor, t: float) -> Distribution:
    """Return the distribution of a path by where it carries the source."""
    x_0, masses = _cells(z, _all_angles())
    return pathwise(path, z.expand_as(x_0), t, x_0, masses)


def _mixed(path: Any, z: Tensor, t: float) -> Distribution:
    """Return the distribution of a mixture path: the data point, and the source."""
    return switched(path, Weighted(z, z.new_ones(1)), t, _cells(z, _all_angles()))


def _landings(destination: Destination) -> Destination:
    """Return a destination of rotations with points."""
    if isinstance(destination, Either):
        return Either(
            destination.probability, _landings(destination.first), _landings(destination.second)
        )
    if isinstance(destination, FromSource) and isinstance(destination.source, UniformRotations):
        return _listed(destination.like, *_spread(*_all_angles()))
    return _around(destination) if isinstance(destination, About) else destination


def _around(about: About) -> Mixture:
    first = about.map(lambda v: v[:1])
    pairs = (about.centre, first.centre), (about.parameter, first.parameter)
    if all(bool((each == one).all()) for each, one in pairs):  # as it is given one data point
        about = first
    s, family = about.parameter, about.family
    edge = family.edge(s)
    if about.inside:
        w, width = _between(torch.zeros_like(edge), edge, INSIDE)
    else:
        w, width = _between(edge, edge.maximum(family.reach(s)), OUTSIDE)
    change = family.angle_density(w, s[..., None]) * family.rise(w, s[..., None]).abs()
    turns, masses = _spread(w, width * change)
    return _listed(about.centre, turns, masses)


def _listed(centre: Tensor, turns: Tensor, masses: Tensor) -> Mixture:
    """Return the distribution of rotations about a centre in a list, with their masses."""
    y = centre[..., None, :, :] @ turns
    return Mixture(masses.expand(y.shape[:-2]), Point(y))


def _cells(points: Tensor, angles: Angles) -> Weighted:
    """Return rotations about the only data point, and the Haar measure each stands for."""
    turns, masses = _spread(*angles)
    return Weighted(points @ turns[:, None], masses)


def _angles(family: RadialDistribution, s: Tensor) -> Angles:
    """Return angles on both sides of the edge of a distribution, and their Haar measure."""
    edge = family.edge(s)
    sides = (
        _between(torch.zeros_like(edge), edge, INSIDE),
        _between(edge, edge.maximum(family.reach(s)), OUTSIDE),
    )
    w, width = (torch.cat(both) for both in zip(*sides, strict=True))
    return w, width * _haar(w)


def _all_angles() -> Angles:
    low, high = torch.tensor([0.0, math.pi], dtype=torch.float64)
    w, width = _between(low, high, OUTSIDE)
    return w, width * _haar(w)


def _haar(w: Tensor) -> Tensor:
    """Return the density of the angle of a rotation drawn from all alike."""
    return (1 - w.cos()) / math.pi


def _between(low: Tensor, high: Tensor, n: int) -> Angles:
    """Return Gauss points between two angles in a last axis, and the length of each."""
    nodes, weights = gauss_points(n, low)
    length = (high - low)[..., None]
    return low[..., None] + length * nodes, length * weights


def _spread(w: Tensor, masses: Tensor) -> tuple[Tensor, Tensor]:
    """Return rotations by each angle about each axis, and their masses."""
    axes, weights = _axes(w)
    turns = exp(w[..., None, None] * axes).flatten(-4, -3)
    return turns, (masses[..., None] * weights).flatten(-2)


def _axes(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return 28 axes and their weights: means over the sphere are exact up to degree 6."""
    nodes, weights = gauss_points(4, like)
    height, turn = 2 * nodes - 1, like.new_tensor(range(7)) * (2 * math.pi / 7)
    radius = (1 - height**2).sqrt()[:, None]
    flat = [radius * turn.cos(), radius * turn.sin(), height[:, None].expand(4, 7)]
    return torch.stack(flat, -1).flatten(0, 1), (weights[:, None] / 7).expand(4, 7).flatten()
