"""Bridges: normals about the line, pinned at both ends, with any coupling of the ends."""

import inspect
from dataclasses import dataclass

import pytest
import torch
from scipy import stats
from torch.distributions import Normal
from torch.testing import assert_close

from feller.core.algebra import Model
from feller.core.config import decode, encode
from feller.core.derived import DerivedModel
from feller.core.generators import Diffusion, Flow
from feller.core.grids import uniform_grid
from feller.core.likelihood import log_likelihood
from feller.core.noise import Noised
from feller.core.pairs import Pair
from feller.core.paths import BridgeNoise, BridgePath, BrownianNoise, SineNoise
from feller.core.posteriors import FiniteData
from feller.core.schedules import Cosine, Geometric, Polynomial, VariancePreserving
from feller.core.solvers import DDIM, Euler, PredictorCorrector, simulate
from feller.core.sources import DataSource, UniformBox, UniformSphere
from feller.core.verify import Reference, verify

D = torch.float64
PATHS = [
    BridgePath(),
    BridgePath(schedule=Cosine(), noise=BrownianNoise(2**0.5)),
    BridgePath(schedule=Polynomial(), noise=SineNoise(0.5)),
]
every_path = pytest.mark.parametrize("path", PATHS, ids=lambda p: type(p.schedule).__name__)
PAIRS = Pair(
    torch.tensor([[-1.0], [-1.0], [0.8]], dtype=D), torch.tensor([[2.0], [0.0], [-2.0]], dtype=D)
)
WEIGHTS = torch.tensor([0.2, 0.3, 0.5], dtype=D)


SAMPLE = inspect.unwrap(BridgePath.sample)  # without the check of types that users do not have


def law(path, t, z):
    t = torch.as_tensor(t, dtype=D)
    mean = path.schedule.sigma(t) * z.x_0 + path.schedule.alpha(t) * z.x_1
    return Normal(mean, path.noise.variance(t).sqrt())


@every_path
@pytest.mark.parametrize("t", [0.2, 0.7])
def test_samples_are_normal_about_the_line(path, t, rng):
    z = PAIRS[torch.zeros(10_000, dtype=torch.int64)]
    uniforms = law(path, t, z).cdf(path.sample(z, t, rng))
    assert stats.kstest(uniforms.flatten().numpy(), "uniform").pvalue > 0.001


@every_path
def test_the_density_is_that_of_torch_and_the_score_its_gradient(path, rng):
    z = PAIRS.map(lambda x: x.repeat(1, 2))
    x = torch.randn(3, 2, generator=rng, dtype=D, requires_grad=True)
    density = path.log_density(x, 0.3, z)
    assert_close(density, law(path, 0.3, z).log_prob(x).sum(-1))
    (gradient,) = torch.autograd.grad(density.sum(), x)
    assert_close(path.score(x.detach(), 0.3, z), gradient)


def test_both_ends_are_certain():
    for t, x in ((0.0, PAIRS.x_0), (1.0, PAIRS.x_1)):
        assert torch.equal(PATHS[0].log_density(x, t, PAIRS), torch.zeros(3, dtype=D))
        assert (PATHS[0].log_density(x + 0.1, t, PAIRS) == -torch.inf).all()


def test_source_samples_take_the_place_of_those_of_the_pair():
    path = BridgePath(noise=None)
    assert torch.equal(path.sample(PAIRS, 0.0, x_0=PAIRS.x_1), PAIRS.x_1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BridgePath(schedule=VariancePreserving()), "a mixing weight starts at 0"),
        (lambda: BridgePath(schedule=Geometric()), "a bridge ends at x_1, .* of x_0"),
        (lambda: BridgePath(noise=Constant()), "0 at both ends"),
        (lambda: BridgePath(source=UniformSphere()), "draws what is not in"),
        (lambda: SAMPLE(BridgePath(), PAIRS.x_1, 0.5), "ends of a Pair.*, not given a Tensor"),
        (lambda: BridgePath(noise=None).log_density(PAIRS.x_1, 0.5, PAIRS), "has no density"),
        (lambda: BridgePath(noise=None).noise_width(torch.ones(1)), "has no score"),
        (lambda: BridgePath(source=DataSource()).sample_source((2, 1), None), "is a data set"),
    ],
)
def test_what_makes_no_bridge_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Constant(BridgeNoise):
    def variance(self, t):
        return torch.ones_like(t)


@pytest.mark.parametrize("path", [*PATHS, BridgePath(noise=None, source=DataSource())], ids=str)
def test_a_bridge_survives_json(path):
    assert decode(encode(path)) == path


@every_path
@pytest.mark.parametrize("kind", [Flow, Diffusion])
def test_the_marginal_of_pairs_follows_the_forward_equation(path, kind):
    model = FiniteData(path, kind, PAIRS, WEIGHTS)
    assert verify(model, Reference(PAIRS, WEIGHTS)).passed
    assert not verify(Slow(model), Reference(PAIRS, WEIGHTS)).passed


@dataclass(frozen=True)
class Slow(DerivedModel):
    """A model whose rates are one percent too small."""

    model: FiniteData

    def __call__(self, x, t, condition=None):
        return self.model(x, t).scaled(0.99)


def test_the_diffusion_of_pairs_has_the_marginal_of_the_data(rng):
    """It starts at the source itself, and arrives at each data point as often as its pairs say."""
    model = FiniteData(BridgePath(), Diffusion, PAIRS, WEIGHTS)
    x_0 = PAIRS.x_0[torch.multinomial(WEIGHTS, 4000, replacement=True, generator=rng)]
    x_1 = simulate(model, x_0, uniform_grid(100), Euler(), rng).state
    for end, weight in zip(PAIRS.x_1, WEIGHTS, strict=True):
        near = ((x_1 - end).abs() < 0.2).double().mean()
        assert float(near) == pytest.approx(float(weight), abs=0.04)


def test_the_flow_of_pairs_has_the_marginal_of_the_data(rng):
    path, index = BridgePath(), torch.multinomial(WEIGHTS, 4000, replacement=True, generator=rng)
    x = path.sample(PAIRS[index], 0.02, rng)
    grid = uniform_grid(200, start=0.02, end=0.99)
    x_1 = simulate(FiniteData(path, Flow, PAIRS, WEIGHTS), x, grid, Euler()).state
    truth = path.sample(PAIRS[index], 0.99, rng)
    assert stats.ks_2samp(x_1.flatten().numpy(), truth.flatten().numpy()).pvalue > 1e-3


# On a bridge of pairs that depend on each other a velocity does not tell the score.
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Noised, "noise added to a flow takes the score from a velocity"),
        (lambda m: run(m, DDIM(churn=1.0)), "needs a model on a GaussianPath"),
        (lambda m: run(m, PredictorCorrector()), "needs a model on a GaussianPath"),
    ],
)
def test_a_score_from_the_velocity_is_refused(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make(FiniteData(BridgePath(), Flow, PAIRS))
    assert "\n" not in str(caught.value)


def run(model, solver):
    return simulate(model, PAIRS.x_0, uniform_grid(4), solver)


def test_the_likelihood_asks_for_the_density_of_the_source():
    """Of uniform sources on a line of one pair each: x_1 = 2 x_0 has half the density."""
    box = BridgePath(noise=None, source=UniformBox())

    class Double(Model):
        path, kinds = box, frozenset({Flow})

        def __call__(self, x, t, condition=None):
            return Flow(x / (1 + t))

    x = torch.tensor([[0.5], [1.5]], dtype=D)
    found = log_likelihood(Double(), x, times=(0.0, 1.0)).nats
    assert_close(found, torch.tensor([0.25, 0.25], dtype=D).log(), rtol=0, atol=1e-4)
    Double.path = BridgePath(noise=None, source=DataSource())
    with pytest.raises(ValueError, match="whose density is not known"):
        log_likelihood(Double(), x, times=(0.0, 1.0))
