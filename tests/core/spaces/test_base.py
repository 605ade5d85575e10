"""Manifolds: exp and log are inverse, projections project, nothing breaks at a singular point."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.sources import Gaussian, UniformBox, UniformSphere
from feller.core.spaces import Euclidean, Interval, Manifold, Sphere, StateSpace, Tokens, Torus

MANIFOLDS = [
    (Euclidean(), Gaussian()),
    (Sphere(), UniformSphere()),
    (Torus(), UniformBox(-math.pi, math.pi)),
]
every_manifold = pytest.mark.parametrize(("space", "source"), MANIFOLDS, ids=lambda v: str(v)[:12])
SHAPE = (40, 2, 3)


def distance(space, x, y):
    """The geodesic distance, with no use of `log`."""
    if isinstance(space, Sphere):
        return 2 * torch.asin((x - y).norm(dim=-1) / 2)
    gap = (x - y).abs()
    if isinstance(space, Torus):
        gap = torch.minimum(gap, 2 * math.pi - gap)
    return gap.norm(dim=-1)


def points(source, rng):
    return source.sample(SHAPE, rng, like=torch.empty(0, dtype=torch.float64))


def tangent(space, x, rng):
    """Tangent vectors shorter than pi, within which a geodesic is the shortest."""
    v = space.project_tangent(x, torch.randn(x.shape, generator=rng, dtype=x.dtype))
    return v * (3.0 / v.norm(dim=-1, keepdim=True).clamp_min(3.0))


def test_every_space_is_tested():
    def ours(base):
        return {c for c in base.__subclasses__() if c.__module__.startswith("feller.core.")}

    assert ours(Manifold) == {type(space) for space, _ in MANIFOLDS}
    assert ours(StateSpace) == {Interval, Manifold, Tokens}


@every_manifold
def test_log_inverts_exp(space, source, rng):
    x = points(source, rng)
    v = tangent(space, x, rng)
    space.check(space.exp(x, v))
    assert_close(space.log(x, space.exp(x, v)), v)


@every_manifold
def test_exp_inverts_log(space, source, rng):
    x, y = points(source, rng), points(source, rng)
    assert_close(space.log(space.exp(x, space.log(x, y)), y), torch.zeros_like(x))


@every_manifold
def test_log_is_as_long_as_the_way(space, source, rng):
    x, y = points(source, rng), points(source, rng)
    assert_close(space.log(x, y).norm(dim=-1), distance(space, x, y))


@every_manifold
def test_a_geodesic_has_constant_speed(space, source, rng):
    x = points(source, rng)
    v = tangent(space, x, rng)
    for share in (0.0, 0.3, 0.9):
        assert_close(
            distance(space, x, space.exp(x, share * v)),
            share * v.norm(dim=-1),
            atol=1e-7,
            rtol=1e-7,
        )


@every_manifold
def test_a_geodesic_leaves_with_its_velocity(space, source, rng):
    x = points(source, rng)
    v = tangent(space, x, rng)
    zero = torch.zeros(1, dtype=x.dtype)
    _, leaving = torch.func.jvp(lambda h: space.exp(x, h * v), (zero,), (torch.ones_like(zero),))
    assert_close(leaving, v)


@every_manifold
def test_projections_project(space, source, rng):
    x = points(source, rng)
    far = 2 * torch.randn(SHAPE, generator=rng, dtype=x.dtype)
    near = space.project(far)
    space.check(near)
    assert_close(space.project(near), near)
    assert_close(space.project(x), x)
    v, w = space.project_tangent(x, far), tangent(space, x, rng)
    assert_close(space.project_tangent(x, v), v)
    assert_close(((far - v) * w).sum(-1), torch.zeros(SHAPE[:-1], dtype=x.dtype))


@every_manifold
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_finite_at_no_distance(space, source, dtype, rng):
    x = points(source, rng).to(dtype).requires_grad_()
    y = x.detach().clone().requires_grad_()
    v = torch.zeros_like(y).requires_grad_()
    w = torch.randn(SHAPE, generator=rng).to(dtype)
    assert_close(space.log(x, y), torch.zeros_like(x), atol=1e-6, rtol=0)
    assert_close(space.exp(x, v), x)
    toward = torch.autograd.grad((space.log(x, y) * w).sum(), y)[0]
    moved = torch.autograd.grad((space.exp(x, v) * w).sum(), v)[0]
    expected = space.project_tangent(x, w).detach()
    assert_close(toward, expected, atol=1e-3, rtol=1e-3)
    assert_close(moved, expected, atol=1e-5, rtol=1e-5)


@every_manifold
def test_values_and_gradients_are_finite_at_antipodes(space, source, rng):
    corner = torch.tensor([[0.0, 0.0, 1.0], [0.6, 0.8, 0.0]], dtype=torch.float64)
    x = (math.pi * corner if isinstance(space, Torus) else corner).requires_grad_()
    y = (0 * x if isinstance(space, Torus) else -x).detach().requires_grad_()
    way = space.log(x, y)
    assert way.isfinite().all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(way.square().sum(), (x, y)))
