"""The table: every entry solves the Kolmogorov forward equation, and what is missing is said."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch

from feller.core.generators import Diffusion, Flow, Jump
from feller.core.pairs import Pair
from feller.core.paths import (
    BridgePath,
    BrownianNoise,
    GaussianPath,
    GeodesicPath,
    GeometricPath,
    MixturePath,
    SineNoise,
)
from feller.core.schedules import CondOT, Cosine, Geometric, Polynomial, VariancePreserving
from feller.core.solutions import solution, solved, solves, table
from feller.core.sources import Gaussian, Masked, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Euclidean, Interval, Sphere, Tokens, Torus

FUNCTIONS = [  # smooth, and periodic for the torus
    lambda x: x[:, 0].sin(),
    lambda x: (x * torch.arange(1, x.shape[1] + 1)).sum(-1).cos(),
    lambda x: x.cos().sum(-1).exp(),
    lambda x: x[:, -1].sin() ** 3 * (1 + x[:, 0].cos()),
]


def change_of_density(path, z, f, t, reach=9.0):
    """d/dt of the integral of f p_t(. | z), from the density alone; and the states and weights."""
    d = z.shape[-1]
    axis = torch.linspace(-reach, reach, 3001 if d == 1 else 201, dtype=torch.float64)
    x = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
    cell = (axis[1] - axis[0]) ** d

    def weights(t):
        return path.log_density(x, t, z).exp() * cell

    density, rise = torch.func.jvp(weights, (t,), (torch.ones_like(t),))
    return (f(x) * rise).sum(), x, density


def change_of_samples(path, z, f, t, b=400):
    """d/dt of the mean of f(x_t), along the way of common source samples."""
    like = torch.empty(0, dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    x_0 = path.sample_source((b, z.shape[-1]), rng, like=like)

    def samples(t):
        return path.sample(z.expand_as(x_0), t, x_0=x_0)

    x, way = torch.func.jvp(samples, (t,), (torch.ones_like(t),))
    rise = torch.func.jvp(f, (x,), (way,))[1].mean()
    return rise, x, torch.full((b,), 1 / b, dtype=torch.float64)


def change_of_tokens(path, z, f, t, h=1e-6):
    """d/dt of the sum of f p_t(. | z) over all tokens."""
    x = torch.arange(path.space.size)[:, None]
    after, before = (path.log_density(x, t + s, z).exp()[:, 0] for s in (h, -h))
    return (f(x) * (after - before)).sum() / (2 * h), x, (after + before) / 2


def change_of_cells(path, z, f, t):
    """d/dt of the mean of f over the atom and a uniform or normal source, by Gauss points."""
    z_, kappa = float(z), path.schedule.alpha(t)
    if isinstance(path.source, UniformBox):
        ends = (path.source.low, z_, path.source.high)
    else:
        ends = (-9.0, z_, 9.0)
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(80))
    pieces = [(b - a, (a + b + (b - a) * nodes) / 2) for a, b in pairwise(ends)]
    inside = torch.cat([piece for _, piece in pieces])[:, None]
    p_0 = torch.cat([span / 2 * weights for span, _ in pieces])
    p_0 = p_0 * path.source.log_density(inside)[:, 0].exp()
    rise = path.schedule.alpha_dot(t) * (f(z.view(1, 1))[0] - (p_0 * f(inside)).sum())
    return rise, torch.cat([inside, z.view(1, 1)]), torch.cat([(1 - kappa) * p_0, kappa[None]])


def tamed(path, f):
    """A test function whose slope is 0 at the ends of an interval, where a diffusion reflects."""
    if not isinstance(path.space, Interval):
        return f
    low, span = path.space.low, path.space.high - path.space.low
    return lambda x: f(2 * torch.cos(math.pi * (x - low) / span))


def residual(entry, path, z, f, t, bend=0.0):
    """|d/dt E f - E L f|; `bend` spoils the rate, to see that the test can fail."""
    kind, backward = entry
    t, f = torch.tensor(t, dtype=torch.float64), tamed(path, f)
    smooth = isinstance(path, GaussianPath | BridgePath)
    change = change_of_density if smooth else change_of_samples
    change = change_of_cells if isinstance(path, MixturePath) else change
    change = change_of_tokens if path.space.is_discrete else change
    rise, x, weights = change(path, z, f, t)
    generator = solution(path, kind, backward=backward)(path, x, t, z).scaled(1 + bend)
    sign = -1 if backward else 1
    return (sign * rise - (weights * generator.apply(f, x)).sum()).abs().item()


LINE, PLANE = (torch.tensor([z], dtype=torch.float64) for z in ([0.7], [-1.1, 0.4]))
TOKEN = torch.tensor([[2]])
POLE = torch.tensor([[0.6, 0.0, 0.8]], dtype=torch.float64)
SCHEDULES = (CondOT(), Cosine(), Polynomial(), VariancePreserving(), Geometric(0.3))
ON_LINE = [(GaussianPath(schedule=schedule), LINE) for schedule in SCHEDULES]
EVERYWHERE = [*ON_LINE, *[(GaussianPath(schedule=s), PLANE) for s in (Cosine(), Geometric(0.3))]]
INTERVAL = [
    (MixturePath(Interval(), UniformBox()), LINE),
    (MixturePath(Interval(-0.5, 2.0), UniformBox(-0.5, 2.0), Cosine()), LINE),
]
MIXTURES = [
    (MixturePath(Tokens(5), Masked(4)), TOKEN),
    (MixturePath(Tokens(5), UniformTokens(5), Cosine()), TOKEN),
    (MixturePath(Tokens(5), UniformTokens(4), Geometric(0.3)), TOKEN),
    (MixturePath(Euclidean(), Gaussian(), Polynomial()), LINE),
    *INTERVAL,
]
GEOMETRIC = [
    (GeometricPath(Tokens(5)), TOKEN),
    (GeometricPath(Tokens(3), 0.2, Cosine()), TOKEN),
]
BRIDGES = [
    (BridgePath(), Pair(-LINE, LINE)),
    (BridgePath(schedule=Cosine(), noise=BrownianNoise(0.7)), Pair(PLANE.flip(1), PLANE)),
    (BridgePath(schedule=Polynomial(), noise=SineNoise()), Pair(-LINE, LINE)),
]
CASES = {
    (BridgePath, Flow, False): BRIDGES,
    (BridgePath, Diffusion, False): BRIDGES,
    (GaussianPath, Flow, False): EVERYWHERE,
    (GeodesicPath, Flow, False): [
        (GeodesicPath(Euclidean(), Gaussian()), PLANE),
        (GeodesicPath(Torus(), UniformBox(-math.pi, math.pi), Cosine()), PLANE),
        (GeodesicPath(Sphere(), UniformSphere(), Polynomial()), POLE),
    ],
    (GaussianPath, Diffusion, False): EVERYWHERE,
    (GaussianPath, Jump, False): ON_LINE,
    (GaussianPath, Jump, True): ON_LINE,
    (MixturePath, Jump, False): MIXTURES,
    (MixturePath, Jump, True): MIXTURES,
    (MixturePath, Diffusion, False): INTERVAL,
    (GeometricPath, Jump, False): GEOMETRIC,
    (GeometricPath, Jump, True): GEOMETRIC,
}


def bound(kind, path):
    """How well a residual is known: tokens are reckoned in float32; a rate on R has a kink."""
    if path.space.is_discrete:
        return 1e-6
    return 1e-4 if (type(path), kind) == (GaussianPath, Jump) else 1e-8


def name_of(value):
    if isinstance(value, tuple):
        return value[0].__name__ + " backward" * value[1]
    return "" if isinstance(value, torch.Tensor) else str(value)[:90]


every_case = pytest.mark.parametrize(
    ("entry", "path", "z"),
    [((kind, back), path, z) for (_, kind, back), cases in CASES.items() for path, z in cases],
    ids=name_of,
)


def test_every_entry_is_tested():
    entries = {(*pair, back) for back in (False, True) for pair in solved(backward=back)}
    # Domains enter theirs when they are imported, and test them.
    ours = {entry for entry in entries if entry[0].__module__.startswith("feller.core.")}
    assert ours == CASES.keys()


@every_case
@pytest.mark.parametrize("t", [0.15, 0.5, 0.8])
def test_a_solution_solves_the_forward_equation(entry, path, z, t):
    residuals = [residual(entry, path, z, f, t) for f in FUNCTIONS]
    assert max(residuals) < bound(entry[0], path)


@every_case
def test_a_wrong_generator_does_not(entry, path, z):
    residuals = [residual(entry, path, z, f, 0.5, bend=0.01) for f in FUNCTIONS]
    assert max(residuals) > 3 * bound(entry[0], path)


def test_what_is_singular_is_refused_with_the_reason():
    path = GeodesicPath(Sphere(), UniformSphere())
    with pytest.raises(LookupError, match=r"GeodesicPath x Jump is refused: .* shrinking edge"):
        solution(path, Jump)
    with pytest.raises(LookupError, match=r"GeodesicPath x Diffusion is refused"):
        solution(path, Diffusion)
    with pytest.raises(LookupError, match=r"no backward solution of GeodesicPath x Flow"):
        solution(path, Flow, backward=True)


@dataclass(frozen=True)
class Bent(GaussianPath):
    """A path that inherits its solution."""


class Fast(Flow):
    """A kind that inherits its solution."""


def test_look_up_is_by_inheritance():
    inherited = solution(GaussianPath(), Flow)
    assert solution(Bent(), Flow) is inherited
    assert solution(Bent(), Fast) is inherited


def test_a_refusal_says_why(monkeypatch):
    monkeypatch.setattr(table, "_REFUSED", dict(table._REFUSED))
    table.refuse(MixturePath, Flow, "its atom fills from nowhere")
    with pytest.raises(LookupError, match=r"MixturePath x Flow is refused: its atom"):
        solution(MixturePath(Tokens(5), Masked(4)), Flow)


def test_the_exact_type_comes_first(monkeypatch):
    monkeypatch.setattr(table, "_SOLUTIONS", dict(table._SOLUTIONS))

    @solves(Bent, Flow)
    def bent_flow(path, x, t, z):
        return Flow(z - x)

    assert solution(Bent(), Flow) is bent_flow
    assert solution(Bent(), Fast) is bent_flow
    assert solution(GaussianPath(), Flow) is not bent_flow


def test_a_missing_pair_lists_what_exists():
    with pytest.raises(LookupError) as caught:
        solution(MixturePath(Tokens(5), Masked(4)), Flow)
    assert "no solution of MixturePath x Flow" in str(caught.value)
    assert all(f"{p.__name__} x {k.__name__}" in str(caught.value) for p, k in solved())


def test_a_pair_has_one_solution():
    before = solution(GaussianPath(), Flow)
    with pytest.raises(ValueError, match="GaussianPath x Flow has a solution already"):
        solves(GaussianPath, Flow)(before)
    assert solution(GaussianPath(), Flow) is before
