"""Distributions: every way to d/dt E f gives what the closed form gives."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch.testing import assert_close

from feller.core.paths import GaussianPath, GeodesicPath, MixturePath, ProductPath
from feller.core.schedules import CondOT, Cosine
from feller.core.sources import (
    Gaussian,
    Masked,
    UniformBox,
    UniformSphere,
    UniformTokens,
)
from feller.core.spaces import Euclidean, Sphere, Tokens
from feller.core.verify.cells import Weighted
from feller.core.verify.distributions import drawn, exact, pathwise, switched, weighed

W = 1.3
T = 0.4
B = 40_000


def waves(x):
    """sin and cos of a wave along the sum of the coordinates."""
    phase = W * x.flatten(1).sum(1)
    return torch.stack([phase.sin(), phase.cos()], 1)


def truth(path, z, t=T):
    """d/dt of E sin(w x_t) = sin(w alpha z) exp(-w^2 sigma^2 / 2), and of the cosine."""

    def means(t):
        alpha, sigma = path.schedule.alpha(t), path.schedule.sigma(t)
        fade = torch.exp(-(W**2) * sigma**2 * z[0].numel() / 2)
        return (
            torch.stack([torch.sin(W * alpha * z[0].sum()), torch.cos(W * alpha * z[0].sum())])
            * fade
        )

    t = torch.tensor(t, dtype=torch.float64)
    return torch.func.jvp(means, (t,), (torch.ones_like(t),))[1]


def estimate(law, f=waves):
    """The mean of the contributions, and its standard error."""
    rows = law.rise(f)
    return rows.mean(0), rows.std(0) / len(rows) ** 0.5


POINT = torch.tensor([[0.7]], dtype=torch.float64)
ONE = torch.ones(1, dtype=torch.float64)


@pytest.mark.parametrize("schedule", [CondOT(), Cosine()], ids=str)
def test_quadrature_is_exact(schedule):
    path = GaussianPath(schedule=schedule)
    law = exact(path, POINT, ONE, T)
    assert law.method == "quadrature"
    assert_close(law.weights.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert_close(law.rise(waves).sum(0), truth(path, POINT), rtol=0, atol=1e-8)


def test_quadrature_of_several_points_weighs_them():
    points, weights = torch.tensor([[0.7], [-1.0]]).double(), torch.tensor([0.2, 0.8]).double()
    path = GaussianPath()
    law = exact(path, points, weights, T)
    expected = sum(w * truth(path, z[None]) for w, z in zip(weights, points, strict=True))
    assert_close(law.rise(waves).sum(0), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (GaussianPath(), None),
        (GaussianPath(), "score"),
        (GeodesicPath(Euclidean(), Gaussian()), "pathwise"),
    ],
    ids=["gaussian", "gaussian by score", "geodesic"],
)
def test_samples_agree_with_the_closed_form(path, method, rng):
    z = torch.tensor([[0.7, -0.2]], dtype=torch.float64)
    mean, error = estimate(drawn(path, z.expand(B, 2), T, rng, method=method))
    assert ((mean - truth(path, z)).abs() < 4 * error).all()
    assert error.max() < 0.02


def mixture_truth(z, f=waves, d=1):
    """kappa_dot times the sum over coordinates of f with it at z less f with it at the source."""
    fade = math.exp(-(W**2) / 2)
    # E exp(i w sum x): each coordinate gives kappa exp(i w z) + (1 - kappa) fade.
    factors = [T * complex(math.cos(W * v), math.sin(W * v)) + (1 - T) * fade for v in z]
    slopes = [complex(math.cos(W * v), math.sin(W * v)) - fade for v in z]
    total = 0
    for e in range(len(z)):
        others = 1
        for o in range(len(z)):
            others *= factors[o] if o != e else 1
        total += slopes[e] * others
    return torch.tensor([total.imag, total.real], dtype=torch.float64)


def test_the_mixture_on_a_line_is_exact():
    law = exact(MixturePath(Euclidean(), Gaussian()), POINT, ONE, T)
    assert_close(law.rise(waves).sum(0), mixture_truth([0.7]), rtol=0, atol=1e-9)
    assert_close(law.weights[0].item(), T)
    assert_close(law.weights.sum(), torch.tensor(1.0, dtype=torch.float64))


def test_a_source_that_ends_is_cut_where_it_ends():
    path = MixturePath(Euclidean(), UniformBox(-0.5, 1.5))
    law = exact(path, POINT, ONE, T)
    mean = (math.cos(-0.5 * W) - math.cos(1.5 * W)) / W / 2
    expected = math.sin(0.7 * W) - mean
    assert_close(law.rise(waves).sum(0)[0].item(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("d", [2, 30])
def test_switching_agrees_with_the_closed_form(d, rng):
    z = torch.linspace(-0.1, 0.2, d, dtype=torch.float64)
    path = MixturePath(Euclidean(), Gaussian())
    law = drawn(path, z.expand(B, d), T, rng)
    mean, error = estimate(law)
    assert law.method == "switching"
    assert ((mean - mixture_truth(z.tolist())).abs() < 4 * error).all()


def tokens(x):
    """A table of the first token times one of the second, and a sum."""
    a = torch.tensor([0.1, -0.4, 0.9], dtype=torch.float64)[x]
    return torch.stack([a[:, 0] * a[:, 1], a.sum(1)], 1)


@pytest.mark.parametrize("source", [Masked(2), UniformTokens(3)], ids=str)
def test_tokens_are_enumerated(source, rng):
    path, z = MixturePath(Tokens(3), source, Cosine()), torch.tensor([[0, 1]])
    law = exact(path, z, ONE, T)
    assert law.method == "enumeration"
    assert len(law.states) == (4 if isinstance(source, Masked) else 9)  # those that can be
    source_mean = tokens(torch.tensor([[0, 0], [1, 1], [2, 2]]))[:, 1] / 2
    m = (source.log_density(torch.arange(3)).double().exp() * source_mean).sum()
    t = torch.tensor(T, dtype=torch.float64)
    kappa, kappa_dot = path.schedule.alpha(t), path.schedule.alpha_dot(t)
    a, b = kappa * 0.1 + (1 - kappa) * m, kappa * -0.4 + (1 - kappa) * m
    expected = kappa_dot * torch.stack([(0.1 - m) * b + a * (-0.4 - m), (0.1 - m) + (-0.4 - m)])
    assert_close(law.rise(tokens).sum(0), expected, rtol=0, atol=1e-6)
    for method in ("switching", "score"):
        mean, error = estimate(drawn(path, z.expand(B, 2), T, rng, method=method), tokens)
        assert ((mean - expected).abs() < 4 * error + 1e-6).all()


class Edged(GaussianPath):
    """A density with an edge."""

    def log_density(self, x, t, z):
        past = (x < self.schedule.alpha(t) * z).all(-1)
        return super().log_density(x, t, z) + 0.5 * past


def test_what_is_long_wide_or_edged_is_not_summed():
    path = MixturePath(Tokens(3), Masked(2))
    assert exact(path, torch.zeros(1, 40, dtype=torch.int64), ONE, T) is None
    assert exact(GaussianPath(), torch.zeros(1, 2), ONE, T) is None
    assert exact(Edged(), POINT, ONE, T) is None
    sphere = GeodesicPath(Sphere(), UniformSphere())
    assert exact(sphere, torch.tensor([[0.6, 0.8]]), ONE, T) is None


def test_the_factors_of_a_product_add(rng):
    path = ProductPath({"a": GaussianPath(), "b": MixturePath(Euclidean(), Gaussian())})
    z = {"a": POINT.expand(B, 1), "b": 0.5 * POINT.expand(B, 1)}

    def f(x):
        return x["a"].sin() * x["b"].cos()

    law = drawn(path, z, T, rng)
    mean, error = estimate(law, f)
    fade = math.exp(-0.5)
    t = torch.tensor(T, dtype=torch.float64)

    def expected(t):
        wave = torch.sin(t * 0.7) * torch.exp(-((1 - t) ** 2) / 2)
        return wave * (t * math.cos(0.35) + (1 - t) * fade)

    slope = torch.func.jvp(expected, (t,), (torch.ones_like(t),))[1]
    assert law.method == "pathwise x switching"
    assert (mean - slope).abs() < 4 * error


@dataclass(frozen=True)
class Nowhere(GaussianPath):
    """A path."""


def test_a_method_for_samples_is_asked_for(rng):
    with pytest.raises(ValueError, match="samples come by pathwise, switching, score, not by quad"):
        drawn(Nowhere(), POINT, T, rng, method="quadrature")


def gauss(d):
    """Points that stand for d standard normals, and their weights."""
    axis, weights = Gaussian().points(POINT)
    points = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
    return points, torch.cartesian_prod(*[weights] * d).reshape(-1, d).prod(1)


PAIR = torch.tensor([[0.7, -0.2]], dtype=torch.float64)


def test_points_that_stand_for_the_source_are_carried_exactly():
    x_0, weights = gauss(2)
    law = pathwise(GaussianPath(), PAIR.expand_as(x_0), T, x_0, weights)
    assert law.method == "quadrature"
    assert_close(law.rise(waves).sum(0), truth(GaussianPath(), PAIR), rtol=0, atol=1e-12)


def test_cells_of_ones_own_are_weighed():
    """Two points in the plane, summed over squares."""
    points, shares = torch.cat([PAIR, -2 * PAIR]), torch.tensor([0.3, 0.7]).double()
    axis = torch.linspace(-6, 6, 121, dtype=torch.float64)
    cells = Weighted(
        torch.cartesian_prod(axis, axis), torch.full((121**2,), 0.01, dtype=torch.float64)
    )
    law = weighed(GaussianPath(), Weighted(points, shares), T, cells, "squares")
    expected = sum(w * truth(GaussianPath(), z[None]) for w, z in zip(shares, points, strict=True))
    assert law.method == "squares"
    assert_close(law.rise(waves).sum(0), expected, rtol=0, atol=1e-8)


def test_a_mixture_is_its_atoms_and_cells_of_the_source():
    path, points = (
        MixturePath(Sphere(), UniformSphere()),
        torch.tensor([[[0.6, 0.0, 0.8]]]).double(),
    )
    turn = torch.arange(8).double() * math.pi / 4  # the equator and the poles of a sphere
    ring = torch.stack([turn.cos(), turn.sin(), 0 * turn], 1)
    states = torch.cat([ring, torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])])[:, None]
    sizes = 4 * math.pi * torch.tensor([1 / 12] * 8 + [1 / 6] * 2).double()
    law = switched(path, Weighted(points, ONE), T, Weighted(states, sizes))
    assert_close(law.weights.sum(), torch.tensor(1.0, dtype=torch.float64))

    def squares(x):  # of mean 1/3 on the sphere
        return x.flatten(1) ** 2

    expected = points.flatten() ** 2 - 1 / 3
    assert_close(law.rise(squares).sum(0), expected)
