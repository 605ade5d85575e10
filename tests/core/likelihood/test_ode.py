"""The log-density of flows against exact laws: mixtures of normals, finite data, images."""

import math
from functools import cache

import pytest
import torch
from torch import nn
from torch.distributions import Normal
from torch.testing import assert_close

from feller.core import generators
from feller.core.algebra import stationary
from feller.core.generators import Diffusion, Flow, Jump
from feller.core.grids import uniform_grid
from feller.core.likelihood import HutchinsonTrace, log_likelihood, probability_flow
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.schedules import CondOT, Cosine, VariancePreserving
from feller.core.solvers import Dopri5, named_solver
from feller.core.sources import UniformBox, UniformTokens
from feller.core.spaces import Euclidean, Interval, Tokens
from feller.core.times import expand_time

FINE = Dopri5(1e-7, 1e-7)
NEAR = (0.0, 1 - 1e-7)


def mixture(d, schedule=None):
    """Three normals in d dimensions, twenty of their samples, and their exact log-density."""
    rng = torch.Generator().manual_seed(d)
    means = torch.randn(3, d, generator=rng).double()
    stds, weights = torch.tensor([0.3, 0.5, 1.0]).double(), torch.tensor([0.2, 0.3, 0.5]).double()
    model = NormalMixture(GaussianPath(schedule=schedule or CondOT()), means, stds, weights)
    which = torch.randint(3, (20,), generator=rng)
    x = means[which] + torch.randn(20, d, generator=rng).double() * stds[which, None]
    each = Normal(means, stds[:, None]).log_prob(x[:, None]).sum(-1)
    return model, x, (weights.log() + each).logsumexp(1)


@pytest.mark.parametrize("d", [1, 2, 16])
def test_the_density_of_a_mixture_of_normals(d):
    model, x, exact = mixture(d)
    found = log_likelihood(model, x, times=NEAR, solver=FINE)
    assert found.error is None
    assert_close(found.nats, exact, rtol=0, atol=1e-4)


def test_a_model_that_divides_by_t_wants_times_that_start_later():
    exact_model, x, exact = mixture(1)

    def through_noise(x, t, condition):
        velocity = exact_model(x, t, condition).velocity
        t = expand_time(t, x)
        noise = x - t * velocity
        return torch.where(torch.as_tensor(t) < 1e-3, torch.nan, (x - noise) / t)

    model = GeneratorModel(through_noise, exact_model.path)
    found = log_likelihood(model, x, times=(1e-3, 1 - 1e-7), solver=FINE)
    assert_close(found.nats, exact, rtol=0, atol=0.01)  # the source is that of t = 1e-3


def test_another_schedule_and_the_source_it_ends_in():
    model, x, exact = mixture(2, Cosine())
    found = log_likelihood(model, x, times=NEAR, solver=FINE)
    assert_close(found.nats, exact, rtol=0, atol=1e-4)
    one = torch.ones(1).double()
    normal = NormalMixture(GaussianPath(schedule=Cosine()), 2 * one[:, None], 0.5 * one, one)
    back = log_likelihood(normal, x[:, :1], times=NEAR, solver=FINE).x_0
    assert_close(back, (x[:, :1] - 2) / 0.5, rtol=0, atol=1e-4)


def test_variance_preserving_starts_at_its_source_not_at_its_path():
    # alpha(0) is .0066, not 0: the law of a simulation is off by that much of the mean, no more.
    model, x, exact = mixture(2, VariancePreserving())
    error = (log_likelihood(model, x, times=(0.0, 1 - 1e-8), solver=FINE).nats - exact).abs().max()
    assert 1e-4 < error < 0.05


def test_single_precision_at_the_default_settings():
    model, x, exact = mixture(2)
    single = NormalMixture(
        model.path, model.means.float(), model.stds.float(), model.weights.float()
    )
    assert_close(log_likelihood(single, x.float()).nats, exact.float(), rtol=0, atol=5e-3)


@cache
def fine_density():
    model, x, _ = mixture(2, Cosine())
    return log_likelihood(model, x, times=(0.0, 0.8), solver=Dopri5(1e-10, 1e-10)).nats


@pytest.mark.parametrize(
    ("name", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)]
)
def test_the_order_of_convergence(name, order):
    model, x, _ = mixture(2, Cosine())
    exact = fine_density()
    errors = []
    for steps in (16, 48):
        grid = [0.8 * i / steps for i in range(steps + 1)]
        found = log_likelihood(model, x, times=grid, solver=named_solver(name))
        assert found.nfe == steps * {"euler": 1, "rk4": 4}.get(name, 2)  # no step is cut short
        errors.append(float((found.nats - exact).square().mean().sqrt()))
    slope = math.log(errors[0] / errors[1]) / math.log(3)
    assert abs(slope - order) < 0.4


@pytest.mark.parametrize("law", ["signs", "normals"])
def test_hutchinson_is_right_on_average(law, rng):
    model, x, _ = mixture(16)
    times, solver = uniform_grid(10, end=0.9), named_solver("heun")
    exact = log_likelihood(model, x, times=times, solver=solver).nats
    trace = HutchinsonTrace(rng, 24, law)
    found = log_likelihood(model, x, times=times, solver=solver, trace=trace)
    score = (found.nats - exact) / found.error
    assert abs(float(score.mean())) * 20**0.5 < 4
    assert 0.6 < float(score.std()) < 1.6  # the error it states is the error it makes
    single = log_likelihood(model, x[:2], times=times, trace=HutchinsonTrace(rng))
    assert bool(single.error.isnan().all())


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 1, 3)])
def test_images(shape, rng):
    points = torch.randn(3, *shape, generator=rng).double()
    path = GaussianPath(Euclidean(3))
    model = FiniteData(path, Flow, points)
    x = path.sample(points, 0.8, rng)
    exact = path.log_density(x[:, None], 0.8, points[None]).logsumexp(1) - math.log(3)
    found = log_likelihood(model, x, times=(0.0, 0.8), solver=Dopri5(1e-6, 1e-6))
    assert found.x_0.shape == x.shape
    assert_close(found.nats, exact, rtol=0, atol=1e-4)
    trace, grid = HutchinsonTrace(rng, 32), uniform_grid(10, end=0.8)
    estimate = log_likelihood(model, x, times=grid, solver=named_solver("rk4"), trace=trace)
    assert bool(((estimate.nats - exact).abs() < 4 * estimate.error + 1e-3).all())


def test_a_network_on_images_and_what_it_costs(rng):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x, t, condition):
            return self.layer(x) * t[:, None, None, None] + condition[:, None, None, None]

    model = GeneratorModel(Network(), GaussianPath(Euclidean(3)))
    x, condition = torch.randn(2, 1, 4, 4, generator=rng), torch.tensor([0.0, 1.0])
    found = log_likelihood(
        model, x, times=uniform_grid(5), solver=named_solver("heun"), condition=condition
    )
    assert found.nfe == 10
    assert not found.nats.requires_grad
    with torch.inference_mode():
        again = log_likelihood(
            model, x, times=uniform_grid(5), solver=named_solver("heun"), condition=condition
        )
    assert_close(again.nats, found.nats)


def test_a_superposition_has_the_law_of_its_flow():
    flow, x, exact = mixture(2)
    points = torch.randn(4, 2).double()
    jump, diffusion = (FiniteData(flow.path, kind, points) for kind in (Jump, Diffusion))
    mixed = 0.5 * flow + 0.3 * jump + 0.2 * flow + stationary(diffusion)
    found = log_likelihood(mixed, x[:4], times=NEAR, solver=Dopri5(1e-6, 1e-6))
    assert_close(found.nats, exact[:4], rtol=0, atol=1e-4)
    assert found.nfe % 4 == 0


def test_the_probability_flow_is_a_weighted_mean():
    one, two = Flow(torch.ones(2, 1)), Flow(torch.zeros(2, 1))
    weight = torch.tensor([[0.2], [0.4]])
    assert_close(probability_flow(weight * one + (0.8 - weight) * two), weight / 0.8)
    assert_close(probability_flow(0.0 * one), torch.ones(2, 1))
    around = generators.stationary(Flow(torch.full((2, 1), 7.0)))
    assert_close(probability_flow(0.5 * one + 0.5 * two + around), torch.full((2, 1), 0.5))
    with pytest.raises(ValueError, match="a Diffusion without a flow"):
        probability_flow(Diffusion(torch.ones(1, 1), torch.ones(1, 1)))


class Nowhere(Model):
    """A model that does not say which path it follows."""

    space, kinds = Euclidean(), frozenset({Flow})
    path = None

    def __call__(self, x, t, condition=None):
        return Flow(-x)


def refuse(model, x, words, **settings):
    with pytest.raises(ValueError, match=words):
        log_likelihood(model, x, **settings)


def test_bad_input_is_refused():
    tokens = MixturePath(Tokens(3), UniformTokens(3))
    points = torch.tensor([[0, 1]])
    refuse(FiniteData(tokens, Jump, points), points, "discrete.*evidence_bound")
    interval = GeneratorModel(lambda x, t, c: x, MixturePath(Interval(), UniformBox()))
    refuse(interval, torch.zeros(1, 2), "on a manifold, not on Interval")
    model, x, _ = mixture(2)
    refuse(FiniteData(model.path, Jump, x), x, "returns Jump and no flow")
    refuse(Nowhere(), x, "has no path")
    refuse(model, x[0], r"\(b, \*event\)")
    refuse(model, x.long(), "floating point")
    refuse(model, x, "not finite at t = 1", times=(0.0, 1.0))
    refuse(model, x, "one clock", times=torch.zeros(2, 20))
    refuse(model, x, "strictly rise", times=(0.5, 0.5))


def test_a_flow_that_blows_up_is_refused():
    model = GeneratorModel(lambda x, t, c: -(x**5) * 1e6, GaussianPath())
    refuse(
        model,
        10 * torch.ones(1, 1),
        "not finite",
        times=[0.0, 0.5, 1.0],
        solver=named_solver("rk4"),
    )


def test_weights_that_make_no_superposition_are_refused():
    model, x, _ = mixture(2)
    jump = FiniteData(GaussianPath(), Jump, x)
    with pytest.raises(ValueError, match="sum to 1, these to 2"):
        log_likelihood(1.0 * model + 1.0 * model, x)
    with pytest.raises(ValueError, match="flows of a superposition have no weight together"):
        log_likelihood(0.0 * model + 0.0 * model + 1.0 * jump, x)


def test_times_are_told_as_they_were_given():
    model, x, _ = mixture(2)
    with pytest.raises(ValueError, match=r"strictly rise, not \[0.5, 0.2\]"):
        log_likelihood(model, x, times=(0.5, 0.2))
    with pytest.raises(ValueError, match=r"where t is 1 - t: no end after 2 steps at t = "):
        log_likelihood(model, x, solver=Dopri5(1e-9, 1e-9, max_steps=2))


def test_a_gradient_is_refused_where_one_is_asked_for():
    model, x_1, _ = mixture(1)
    x_1 = x_1.requires_grad_()
    with pytest.raises(ValueError, match="log_likelihood gives no gradient, and x_1 asks for one"):
        log_likelihood(model, x_1)
    moved = NormalMixture(model.path, model.means.requires_grad_(), model.stds, model.weights)
    with pytest.raises(ValueError, match="log_likelihood gives no gradient, and model asks"):
        log_likelihood(moved, x_1.detach())
    with torch.no_grad():
        assert log_likelihood(moved, x_1).nats.isfinite().all()


def test_velocities_of_another_shape_are_refused():
    class Wide(Model):
        path = GaussianPath()
        space = path.space
        kinds = frozenset({Flow})

        def __call__(self, x, t, condition=None):
            return Flow(-x.sum(1))

    with pytest.raises(ValueError, match=r"a velocity of shape \(3,\) is not one of states"):
        log_likelihood(Wide(), torch.ones(3, 2))


def test_no_samples_have_no_densities():
    model = FiniteData(GaussianPath(), Flow, torch.ones(2, 2))
    assert log_likelihood(model, torch.zeros(0, 2)).nats.shape == (0,)
