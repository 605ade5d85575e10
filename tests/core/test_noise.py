"""Noise: any g leaves the marginal law alone, if the gradient of g^2 is there."""

import math

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.algebra import stationary
from feller.core.generators import Diffusion, Flow, Jump
from feller.core.grids import logarithmic_grid
from feller.core.models import GeneratorModel, Model
from feller.core.noise import Langevin, Noised
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import CondOT, Cosine, Geometric, Polynomial, VariancePreserving
from feller.core.solutions import langevin, solution
from feller.core.solvers import Euler, simulate
from feller.core.sources import UniformBox
from feller.core.spaces import Euclidean, Interval

D = torch.float64
NOISES = {
    "default": None,
    "number": 0.7,
    "time": lambda t: 1 - t,
    "sample": lambda t, x: 1.3 + t * x.sum(-1).sin(),
    "coordinate": lambda t, x: 0.5 + (x - 0.5 * x.roll(1, -1)).sin(),
}
every_noise = pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())
POINTS = torch.tensor([[-1.0, 0.5], [1.2, -0.3]], dtype=D)


def on_a_grid(path, t):
    """States that fill the plane, and the marginal density of two points times their cells."""
    axis = torch.linspace(-6, 6, 151, dtype=D)
    x = torch.cartesian_prod(axis, axis)
    density = path.log_density(x[:, None], t, POINTS[None]).exp().mean(1)
    return x, density * (axis[1] - axis[0]) ** 2


def f(x):
    return x[:, 0].sin() * (1 + x[:, 1].cos())


@every_noise
@pytest.mark.parametrize("schedule", [CondOT(), VariancePreserving(), Geometric(0.3)], ids=str)
def test_the_langevin_part_is_stationary(noise, schedule):
    path = GaussianPath(schedule=schedule)
    x, weights = on_a_grid(path, 0.4)
    part = Langevin(FiniteData(path, Flow, POINTS), noise)(x, 0.4)
    assert abs(float((weights * part.apply(f, x)).sum())) < 1e-8
    assert float((weights * part.apply(f, x)).abs().sum()) > 1e-3


@pytest.mark.parametrize("name", ["sample", "coordinate"])
def test_without_the_gradient_it_is_not(name):
    path, noise = GaussianPath(), NOISES[name]
    x, weights = on_a_grid(path, 0.4)
    velocity = FiniteData(path, Flow, POINTS)(x, 0.4).velocity
    score = (0.4 * velocity - x) / 0.6
    g = noise(0.4, x)
    bent = langevin(score, (g[:, None] if g.ndim == 1 else g) ** 2)
    assert abs(float((weights * bent.apply(f, x)).sum())) > 3e-2


@every_noise
def test_flow_and_langevin_add_up_to_a_diffusion_along_the_path(noise):
    flow = FiniteData(GaussianPath(), Flow, POINTS)
    x = torch.randn(7, 2, dtype=D, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0.1, 0.9, 7, dtype=D)
    noised, part = Noised(flow, noise)(x, t), Langevin(flow, noise)(x, t)
    assert_close(noised.drift, flow(x, t).velocity + part.drift)
    assert_close(noised.covariance, part.covariance)
    assert (noised.covariance >= 0).all()


def test_the_default_is_the_diffusion_of_the_table():
    path = GaussianPath(schedule=Cosine())
    x = torch.linspace(-2, 2, 5, dtype=D)[:, None]
    z = torch.tensor([[0.7]], dtype=D)
    ours = Noised(FiniteData(path, Flow, z))(x, 0.3)
    table = solution(path, Diffusion)(path, x, 0.3, z)
    assert_close(ours.drift, table.drift)
    assert_close(ours.covariance, table.covariance)


@pytest.mark.parametrize("schedule", [CondOT(), Cosine(), Polynomial(), VariancePreserving()])
@pytest.mark.parametrize("t", [0.0, 1 - 1e-6])
def test_the_default_is_finite_at_the_ends(schedule, t, rng):
    path = GaussianPath(schedule=schedule)
    points = torch.tensor([[-1.0], [1.0]])
    x = path.sample(points.repeat(50, 1), t, rng)
    noised = Noised(FiniteData(path, Flow, points))(x, t)
    assert noised.drift.isfinite().all()
    assert noised.covariance.isfinite().all()


@pytest.mark.parametrize("name", ["number", "sample"])
def test_a_simulation_returns_the_law(name):
    points, weights = torch.tensor([[-2.0], [2.0]]), torch.tensor([0.3, 0.7])
    noise = {"number": 1.0, "sample": lambda t, x: 1.5 * (1 - t) * (1 + x[:, 0].sin())}[name]
    model = Noised(FiniteData(GaussianPath(), Flow, points, weights), noise)
    assert isinstance(model, Model)
    rng = torch.Generator().manual_seed(0)
    x_0 = torch.randn(20_000, 1, generator=rng)
    x = simulate(model, x_0, logarithmic_grid(200, end=0.9), Euler(), rng).state

    def law(x):
        return 0.3 * stats.norm.cdf(x, -1.8, 0.1) + 0.7 * stats.norm.cdf(x, 1.8, 0.1)

    assert stats.kstest(x.flatten().numpy(), law).pvalue > 1e-3


def test_images_have_noise_too(rng):
    model = GeneratorModel(lambda x, t, condition: -x, GaussianPath())
    x = torch.randn(3, 1, 4, 4, generator=rng)
    noised = Noised(model, lambda t, x: 1 + x.flatten(1).mean(1) ** 2)(x, 0.5)
    m = x.flatten(1).mean(1)[:, None, None, None]
    slope = 2 * (1 + m**2) * 2 * m / 16  # of (1 + m^2)^2
    score = (0.5 * -x - x) / 0.5
    assert_close(noised.drift, -x + (1 + m**2) ** 2 * score / 2 + slope / 2)


def test_it_is_a_part_of_a_superposition():
    flow = FiniteData(GaussianPath(), Flow, POINTS)
    mixed = 1.0 * flow + 3.0 * stationary(Langevin(flow, 1.0))
    x = torch.zeros(1, 2, dtype=D)
    assert mixed(x, 0.5).apply(f, x).shape == (1,)
    assert (0.5 * flow + 0.5 * Noised(flow)).kinds == {Flow, Diffusion}


def test_a_model_without_a_score_is_refused():
    cells = MixturePath(Interval(), UniformBox())
    with pytest.raises(ValueError, match="determines it on a GaussianPath and not on"):
        Noised(FiniteData(cells, Diffusion, POINTS))
    with pytest.raises(ValueError, match="more than a velocity"):
        Noised(FiniteData(GaussianPath(), Jump, POINTS))(POINTS, 0.5)


def test_noise_at_a_known_element_does_not_move_it(rng):
    flow = FiniteData(GaussianPath(), Flow, POINTS)
    t = torch.tensor([[1.0, 0.5]] * 4, dtype=D)
    x = GaussianPath().sample(POINTS.repeat(2, 1), t, rng)
    h = torch.tensor([[0.0, 0.1]] * 4, dtype=D)
    moved = Noised(flow, 0.5)(x, t).step(GaussianPath().space, x, h, rng)
    assert torch.equal(moved[:, 0], x[:, 0])
    assert math.isfinite(float(moved.sum()))


def test_a_number_for_some_axes_has_a_slope_for_each_coordinate(rng):
    """g_i^2 of a pixel depends on its own channels only, not on the sum over pixels."""
    model = GeneratorModel(lambda x, t, condition: -x, GaussianPath(Euclidean(3)))
    x = torch.randn(2, 3, 4, 4, generator=rng)

    def shared(t, x):
        return 1 + (x + x.roll(1, -1)).mean(1, keepdim=True) ** 2

    def each(t, x):
        return shared(t, x).expand_as(x)

    short, full = (Noised(model, noise)(x, 0.5) for noise in (shared, each))
    assert_close(short.drift, full.drift)


def test_noise_may_be_a_function_of_torch():
    flow = GeneratorModel(lambda x, t, condition: -x, GaussianPath())
    x, t = torch.ones(2, 1), torch.full((2,), 0.25)
    assert_close(Noised(flow, torch.sqrt)(x, t).covariance, torch.full((2, 1), 0.25))


def test_a_signature_is_asked_for_once(monkeypatch):
    """A call that compiles as one graph cannot ask."""
    flow = GeneratorModel(lambda x, t, condition: -x, GaussianPath())
    model, x = Noised(flow, lambda t, x: 1 + x[:, 0].sin()), torch.ones(2, 1)
    monkeypatch.setattr("feller.core.noise._depends_on_state", None)
    assert model(x, 0.25).drift.isfinite().all()


def test_noise_costs_what_its_model_costs():
    class Twice(Model):
        path, space, kinds = GaussianPath(), GaussianPath().space, frozenset({Flow})

        def network_calls(self, t, condition=None):
            return 2

        def __call__(self, x, t, condition=None):
            return Flow(-x)

    assert [model(Twice()).network_calls(0.5) for model in (Langevin, Noised)] == [2, 2]


def test_an_option_of_g_with_a_default_is_not_the_state():
    flow = FiniteData(GaussianPath(), Flow, torch.tensor([[-2.0], [2.0]]))
    noised = Noised(flow, lambda t, scale=0.7: scale * (1 - t))(torch.ones(2, 1), 0.5)
    assert_close(noised.covariance, torch.full((2, 1), 0.35**2))
