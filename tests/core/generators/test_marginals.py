"""Every generator and superposition, driven by the exact posterior, returns the law of the path."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats

from feller.core.algebra import backward, stationary
from feller.core.derived import DerivedModel
from feller.core.generators import Categorical, Diffusion, Flow, Generator, Jump
from feller.core.grids import logarithmic_grid
from feller.core.models import Model
from feller.core.noise import Langevin
from feller.core.paths import GaussianPath, GeodesicPath, GeometricPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import CondOT, Cosine, Geometric, Polynomial, VariancePreserving
from feller.core.solutions import mixture_corrector_from_posterior
from feller.core.solvers import Euler, simulate
from feller.core.sources import Masked, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Interval, Sphere, Tokens, Torus

POINTS, WEIGHTS = torch.tensor([[-2.0], [2.0]]), torch.tensor([0.3, 0.7])
SAMPLES = 10_000
slow = pytest.mark.slow


def grid_of(path, steps, end):
    """Steps where the path moves: near the data, but of a geometric average of normals near 0."""
    if not isinstance(path.schedule, Geometric):
        return logarithmic_grid(steps, end=end)
    square = path.schedule.width**2
    reach = torch.logspace(math.log10(square), 0, 4 * steps + 1, dtype=torch.float64)
    times = (reach - square) / (1 - square)
    return [0.0, *times[(times > 0) & (times < end)].tolist(), end]


def run(model, path, *, end=0.9, steps=150, d=1):
    rng = torch.Generator().manual_seed(0)
    x_0 = path.sample_source((SAMPLES, d), rng)
    return simulate(model, x_0, grid_of(path, steps, end), Euler(), rng).state


def p_of_counts(counts, shares):
    """Chi-square; shares sum to one in float64."""
    shares = torch.as_tensor(shares, dtype=torch.float64)
    return stats.chisquare(counts, SAMPLES * (shares / shares.sum()).numpy()).pvalue


@dataclass(frozen=True)
class Fast(DerivedModel):
    """A model at another rate than its own: two parts at full weight, which is no superposition."""

    model: object
    rate: float = 2.0

    def __call__(self, x, t, condition=None):
        return Faster(self.model(x, t), self.rate)


@dataclass(frozen=True)
class Faster(Generator):
    generator: Generator
    rate: float

    def apply(self, f, x):
        return self.rate * self.generator.apply(f, x)

    def step(self, space, x, h, rng):
        return self.generator.step(space, x, self.rate * h, rng)

    def average(self, weights):
        return Faster(self.generator.average(weights), self.rate)


# The Gaussian path: Kolmogorov-Smirnov against two normals.


def two_points(path, kind, *, back=False):
    return FiniteData(path, kind, POINTS, WEIGHTS, backward=back)


def mixtures(path):
    flow, diffusion, jump = (two_points(path, kind) for kind in (Flow, Diffusion, Jump))
    back = backward(two_points(path, Jump, back=True))
    return {
        "flow": 1.0 * flow,
        "diffusion": 1.0 * diffusion,
        "jump": 1.0 * jump,
        "flow and jump": 0.5 * flow + 0.5 * jump,
        "all three": 0.3 * flow + 0.3 * diffusion + 0.4 * jump,
        "weights that move": (lambda t: 1 - t) * flow + (lambda t: t) * jump,
        "flow and Langevin": 1.0 * flow
        + 2.0 * stationary(Langevin(flow, lambda t: (1 - t) ** 0.5)),
        "jump and Langevin": 1.0 * jump + 1.0 * stationary(Langevin(flow)),
        "jump forth and back": 1.5 * jump + 0.5 * back,
        "flow forth and jump back": 1.5 * flow + 0.5 * back,
    }


NAMES = list(mixtures(GaussianPath()))
SCHEDULES = [CondOT(), Cosine(), Polynomial(), VariancePreserving(), Geometric(0.2)]
LATER = {"all three", "weights that move", "jump and Langevin"}
GAUSSIAN = [
    pytest.param(schedule, name, marks=slow if i or name in LATER else ())
    for i, schedule in enumerate(SCHEDULES)
    for name in NAMES
]


def p_on_the_line(x, path, t):
    t = torch.tensor(t, dtype=torch.float64)
    alpha, sigma = float(path.schedule.alpha(t)), float(path.schedule.sigma(t))

    def law(x):
        parts = zip(POINTS, WEIGHTS, strict=True)
        return sum(float(w) * stats.norm.cdf(x, alpha * float(z), sigma) for z, w in parts)

    return stats.kstest(x.double().flatten().numpy(), law).pvalue


@pytest.mark.parametrize(("schedule", "name"), GAUSSIAN, ids=str)
def test_on_the_gaussian_path(schedule, name):
    path = GaussianPath(schedule=schedule)
    steps = 150 if isinstance(schedule, CondOT) else 300
    assert p_on_the_line(run(mixtures(path)[name], path, steps=steps), path, 0.9) > 1e-3


@dataclass(frozen=True)
class Both(Model):
    """A flow and a jump both at full weight."""

    flow: FiniteData
    jump: FiniteData
    kinds = frozenset({Generator})
    path = None

    @property
    def space(self):
        return self.flow.space

    def __call__(self, x, t, condition=None):
        half = 0.5 * self.flow(x, t) + 0.5 * self.jump(x, t)
        return Faster(half, 2.0)


def test_both_at_full_weight_do_not():
    path = GaussianPath()
    both = Both(two_points(path, Flow), two_points(path, Jump))
    assert p_on_the_line(run(both, path), path, 0.9) < 1e-6


# Tokens: chi-square of two tokens that depend on each other.

DATA, SHARES = torch.tensor([[0, 0], [1, 2], [3, 3]]), torch.tensor([0.5, 0.2, 0.3])
TOKEN_PATHS = {
    "masked": MixturePath(Tokens(5), Masked(4)),
    "uniform": MixturePath(Tokens(5), UniformTokens(4), Cosine()),
    "geometric": GeometricPath(Tokens(4), 0.05),
}


@dataclass(frozen=True)
class Corrector(Model):
    """The corrector of the mixture path, from the exact posterior of each token."""

    model: FiniteData
    kinds = frozenset({Jump})
    path = None

    @property
    def space(self):
        return self.model.space

    def __call__(self, x, t, condition=None):
        posterior = self.model.posterior(x, t)
        one_hot = torch.nn.functional.one_hot(DATA, self.space.size).float()
        law = Categorical(torch.einsum("bk,knv->bnv", posterior, one_hot).log())
        return mixture_corrector_from_posterior(self.model.path, x, t, law)


def token_models(path):
    jump = FiniteData(path, Jump, DATA, SHARES)
    back = backward(FiniteData(path, Jump, DATA, SHARES, backward=True))
    models = {"jump": 1.0 * jump, "forth and back": 1.5 * jump + 0.5 * back}
    if isinstance(path, MixturePath):
        models["corrected"] = 1.0 * jump + 3.0 * stationary(Corrector(jump))
    return models


EARLY = {("masked", "jump"), ("masked", "forth and back"), ("geometric", "jump")}
TOKENS = [
    pytest.param(path, name, marks=() if (path, name) in EARLY else slow)
    for path in TOKEN_PATHS
    for name in token_models(TOKEN_PATHS[path])
]


def p_of_tokens(x, path, t):
    """All pairs of tokens against the marginal law of the path."""
    k = path.space.size
    every = torch.cartesian_prod(torch.arange(k), torch.arange(k))
    density = path.log_density(every[:, None], torch.tensor(t), DATA[None]).sum(-1).exp()
    shares = density.double() @ SHARES.double()
    counts = (x[:, 0] * k + x[:, 1]).bincount(minlength=k * k)
    kept = shares > 1e-9
    assert counts[~kept].sum() < 0.03 * SAMPLES  # two tokens that jumped in one step
    shares = shares[kept] * int(counts[kept].sum()) / shares[kept].sum()
    return stats.chisquare(counts[kept].numpy(), shares.numpy()).pvalue


@pytest.mark.gate
@pytest.mark.parametrize(("path", "name"), TOKENS)
def test_of_tokens(path, name):
    path = TOKEN_PATHS[path]
    x = run(token_models(path)[name], path, end=0.8, steps=200, d=2)
    assert p_of_tokens(x, path, 0.8) > 1e-3


def test_twice_as_fast_of_tokens_does_not():
    path = TOKEN_PATHS["uniform"]
    x = run(Fast(token_models(path)["jump"]), path, end=0.8, steps=200, d=2)
    assert p_of_tokens(x, path, 0.8) < 1e-6


# An interval: sixteen cells, whose posterior is exact and which a diffusion can see.

CELLS = 16
LEVELS = (torch.arange(CELLS) + 0.5)[:, None] * 2 / CELLS - 1
TILTED = (1 + 0.9 * torch.sin(math.pi * LEVELS[:, 0])) / CELLS


def interval_models():
    path = MixturePath(Interval(), UniformBox())
    diffusion, jump, back = (
        FiniteData(path, kind, LEVELS, TILTED, width=2 / CELLS, backward=b)
        for kind, b in ((Diffusion, False), (Jump, False), (Jump, True))
    )
    return path, {
        "diffusion": 1.0 * diffusion,
        "jump": 1.0 * jump,
        "diffusion and jump": 0.5 * diffusion + 0.5 * jump,
        "jump forth and back": 1.5 * jump + 0.5 * backward(back),
        "too fast": Fast(1.0 * diffusion),
    }


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=slow if "back" in n else ()) for n in interval_models()[1]],
)
def test_on_an_interval(name):
    path, models = interval_models()
    x = run(models[name], path, end=0.8, steps=200 if name == "diffusion" else 100)
    path.space.check(x)
    counts = torch.histogram(x.flatten(), torch.linspace(-1, 1, CELLS + 1)).hist.numpy()
    p = p_of_counts(counts, 0.2 / CELLS + 0.8 * TILTED)
    assert p < 1e-6 if name == "too fast" else p > 1e-3


def test_an_atom_gathers_what_it_should():
    """One data value, whose diffusion is exact without cells: it never leaves the atom for good."""
    path = MixturePath(Interval(), UniformBox())
    model = FiniteData(path, Diffusion, torch.tensor([[0.3]]), width=0.02)
    x = run(model, path, end=0.8, steps=1000)
    edges = torch.tensor([-1.0, -0.6, -0.2, 0.2, 0.4, 0.7, 1.0])
    counts = torch.histogram(x.flatten(), edges).hist.numpy()
    shares = 0.2 * edges.diff().double() / 2
    shares[3] += 0.8
    assert p_of_counts(counts, shares) > 1e-3


# Geodesics: the torus by the angle, the sphere by the height.


def test_on_the_torus():
    path = GeodesicPath(Torus(), UniformBox(-math.pi, math.pi))
    points = torch.tensor([[-2.0], [1.5]])
    x = run(FiniteData(path, Flow, points, WEIGHTS), path, end=0.8)
    rng = torch.Generator().manual_seed(1)
    z = points[torch.multinomial(WEIGHTS, 10 * SAMPLES, replacement=True, generator=rng)]
    exact = path.sample(z, 0.8, rng)
    assert stats.ks_2samp(x.flatten().numpy(), exact.flatten().numpy()).pvalue > 1e-3
    fast = run(Fast(FiniteData(path, Flow, points, WEIGHTS), 1.1), path, end=0.8)
    assert stats.ks_2samp(fast.flatten().numpy(), exact.flatten().numpy()).pvalue < 1e-6


@slow
def test_on_the_sphere():
    path = GeodesicPath(Sphere(), UniformSphere())
    points = torch.tensor([[[0.0, 0.0, 1.0]], [[0.8, 0.0, -0.6]]])
    rng = torch.Generator().manual_seed(0)
    x_0 = path.sample_source((SAMPLES, 1, 3), rng)
    model = FiniteData(path, Flow, points, WEIGHTS)
    x = simulate(model, x_0, logarithmic_grid(150, end=0.8), Euler(), rng).state
    z = points[torch.multinomial(WEIGHTS, 10 * SAMPLES, replacement=True, generator=rng)]
    exact = path.sample(z, 0.8, rng)
    for axis in (0, 1, 2):
        assert stats.ks_2samp(x[:, 0, axis].numpy(), exact[:, 0, axis].numpy()).pvalue > 1e-3


def test_a_jump_on_the_sphere():
    """A mixture path on a space of vectors: each element jumps as a whole."""
    path = MixturePath(Sphere(), UniformSphere())
    points = torch.tensor([[[0.0, 0.0, 1.0]], [[0.8, 0.0, -0.6]]])
    rng = torch.Generator().manual_seed(0)
    x_0 = path.sample_source((SAMPLES, 1, 3), rng)
    model = FiniteData(path, Jump, points, WEIGHTS)
    x = simulate(model, x_0, logarithmic_grid(100, end=0.8), Euler(), rng).state
    at = [(x == z).all(-1).all(-1) for z in points]
    strays = x[~(at[0] | at[1])]
    counts = np.array([int(at[0].sum()), int(at[1].sum()), len(strays)])
    assert p_of_counts(counts, [0.8 * 0.3, 0.8 * 0.7, 0.2]) > 1e-3
    assert stats.kstest(strays[..., 2].flatten().numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-3
