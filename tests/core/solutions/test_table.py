"""The table: every entry solves the Kolmogorov forward equation, and what is missing is said."""

import math
from dataclasses import dataclass

import pytest
import torch

from feller.core.generators import Diffusion, Flow, Jump
from feller.core.generators.combine import scaled
from feller.core.paths import GaussianPath, GeodesicPath, MixturePath
from feller.core.schedules import CondOT, Cosine, Polynomial, VariancePreserving
from feller.core.solutions import solution, solved, solves, table
from feller.core.sources import Gaussian, Masked, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Euclidean, Sphere, Tokens, Torus

FUNCTIONS = [  # smooth, and periodic for the torus
    lambda x: x[:, 0].sin(),
    lambda x: (x * torch.arange(1, x.shape[1] + 1)).sum(-1).cos(),
    lambda x: x.cos().sum(-1).exp(),
    lambda x: x[:, -1].sin() ** 3 * (1 + x[:, 0].cos()),
]


def change_of_density(path, z, f, t, reach=9.0):
    """d/dt of the integral of f p_t(. | z), from the density alone; and the states and weights."""
    d = z.shape[-1]
    axis = torch.linspace(-reach, reach, 3001 if d == 1 else 241, dtype=torch.float64)
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


def residual(path, kind, z, f, t, bend=0.0):
    """|d/dt E f - E L f|; `bend` spoils the rate, to see that the test can fail."""
    t = torch.tensor(t, dtype=torch.float64)
    change = change_of_density if isinstance(path, GaussianPath) else change_of_samples
    change = change_of_tokens if path.space.is_discrete else change
    rise, x, weights = change(path, z, f, t)
    generator = scaled(solution(path, kind)(path, x, t, z), 1 + bend)
    return (rise - (weights * generator.apply(f, x)).sum()).abs().item()


LINE, PLANE = (torch.tensor([z], dtype=torch.float64) for z in ([0.7], [-1.1, 0.4]))
TOKEN = torch.tensor([[2]])
POLE = torch.tensor([[0.6, 0.0, 0.8]], dtype=torch.float64)
CASES = {
    (GaussianPath, Flow): [
        (GaussianPath(schedule=schedule), z)
        for schedule in (CondOT(), Cosine(), Polynomial(), VariancePreserving())
        for z in (LINE, PLANE)
    ],
    (GeodesicPath, Flow): [
        (GeodesicPath(Euclidean(), Gaussian()), PLANE),
        (GeodesicPath(Torus(), UniformBox(-math.pi, math.pi), Cosine()), PLANE),
        (GeodesicPath(Sphere(), UniformSphere(), Polynomial()), POLE),
    ],
    (GaussianPath, Diffusion): [
        (GaussianPath(schedule=schedule), z)
        for schedule in (CondOT(), Cosine(), VariancePreserving())
        for z in (LINE, PLANE)
    ],
    (GaussianPath, Jump): [
        (GaussianPath(schedule=schedule), LINE)
        for schedule in (CondOT(), Cosine(), Polynomial(), VariancePreserving())
    ],
    (MixturePath, Jump): [
        (MixturePath(Tokens(5), Masked(4)), TOKEN),
        (MixturePath(Tokens(5), UniformTokens(5), Cosine()), TOKEN),
    ],
}
# The jump's intensity has a kink, so quadrature over the states converges slowly.
BOUNDS = {Flow: 1e-9, Diffusion: 1e-9, Jump: 1e-4}
every_case = pytest.mark.parametrize(
    ("kind", "path", "z"),
    [(kind, path, z) for (_, kind), cases in CASES.items() for path, z in cases],
    ids=lambda value: "" if isinstance(value, torch.Tensor) else str(value)[:60],
)


def test_every_entry_is_tested():
    assert set(solved()) == CASES.keys()


@every_case
@pytest.mark.parametrize("t", [0.15, 0.5, 0.8])
def test_a_solution_solves_the_forward_equation(kind, path, z, t):
    residuals = [residual(path, kind, z, f, t) for f in FUNCTIONS]
    assert max(residuals) < BOUNDS[kind]


@every_case
def test_a_wrong_generator_does_not(kind, path, z):
    residuals = [residual(path, kind, z, f, 0.5, bend=0.01) for f in FUNCTIONS]
    assert max(residuals) > 1e-4


@dataclass(frozen=True)
class Bent(GaussianPath):
    """A path that inherits its solution."""


class Fast(Flow):
    """A kind that inherits its solution."""


def test_look_up_is_by_inheritance():
    inherited = solution(GaussianPath(), Flow)
    assert solution(Bent(), Flow) is inherited
    assert solution(Bent(), Fast) is inherited


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
