"""Heads of noise: one network that knows velocity and score is both flow and diffusion."""

import pytest
import torch
from scipy import stats
from torch import nn
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.generators import Diffusion, Flow, LangevinDiffusion
from feller.core.grids import uniform_grid
from feller.core.heads import DiffusionHead, DriftHead, FlowHead, JointHead, ScoreHead
from feller.core.losses import Objective
from feller.core.models import GeneratorModel
from feller.core.noise import Langevin, Noised
from feller.core.pairs import Pair
from feller.core.paths import BridgePath, BrownianNoise, GaussianPath, MixturePath, SineNoise
from feller.core.posteriors import FiniteData
from feller.core.reweighted import Reweighted
from feller.core.solutions import solution
from feller.core.solvers import Euler, PredictorCorrector, RungeKutta, StochasticHeun, simulate
from feller.core.sources import Masked, UniformBox
from feller.core.spaces import Interval, Tokens
from feller.core.verify import Reference, verify

D = torch.float64
PATH = BridgePath(noise=BrownianNoise(0.8))
PAIRS = Pair(
    torch.tensor([[-1.0], [0.5], [0.8]], dtype=D), torch.tensor([[2.0], [0.0], [-2.0]], dtype=D)
)
BOTH = JointHead((FlowHead(), ScoreHead()), (1.0, 1.0))


class Oracle(nn.Module):
    """A network that returns the exact velocity and the exact mean of minus the noise."""

    def __init__(self, path=PATH, pairs=PAIRS):
        super().__init__()
        self.path, self.pairs = path, pairs

    def forward(self, x, t, condition=None):
        flow = FiniteData(self.path, Flow, self.pairs)
        clock = t[:, None, None]
        each = self.path.score(x[:, None], clock, self.pairs[None])
        each = each * self.path.noise_width(clock)
        mean = (flow.posterior(x, t)[..., None] * each).sum(1)
        return torch.stack([flow(x, t).velocity, mean], -1)


MODEL = GeneratorModel(Oracle(), PATH, BOTH)
START = 0.02  # pairs that are finitely many have no score at t = 0


def simulated(model, solver, rng, steps=200):
    z = PAIRS[torch.randint(3, (4000,), generator=rng)]
    grid = uniform_grid(steps, start=START, end=0.9)
    x = simulate(model, PATH.sample(z, START, rng), grid, solver, rng).state
    truth = PATH.sample(z, 0.9, rng)
    return stats.ks_2samp(x.flatten().numpy(), truth.flatten().numpy()).pvalue


def test_velocity_and_score_follow_the_path():
    for model in (MODEL, Reweighted(MODEL, (1.0, 0.0)), Reweighted(MODEL, (1.0, 0.4))):
        assert verify(model, Reference(PAIRS)).passed
    assert not verify(Reweighted(MODEL, (0.99, 1.0)), Reference(PAIRS)).passed


def test_together_they_are_the_diffusion_of_the_table(rng):
    x, t = torch.randn(6, 1, generator=rng, dtype=D), torch.linspace(0.1, 0.9, 6, dtype=D)
    expected = FiniteData(PATH, Diffusion, PAIRS)(x, t)
    found = MODEL(x, t).split()
    assert_close(found.drift, expected.drift)
    assert_close(found.covariance, expected.covariance)


@pytest.mark.gate
@pytest.mark.parametrize(
    ("weights", "solver"),
    [((1.0, 0.0), RungeKutta()), ((1.0, 1.0), Euler()), ((1.0, 0.3), StochasticHeun())],
    ids=["ODE", "SDE", "less noise"],
)
def test_one_model_is_simulated_as_a_flow_and_as_a_diffusion(weights, solver, rng):
    assert simulated(Reweighted(MODEL, weights), solver, rng) > 1e-3


@pytest.mark.gate
def test_a_model_with_a_score_of_its_own_takes_noise(rng):
    noised = Noised(MODEL, 1.2)
    assert noised.kinds == frozenset({Diffusion})
    assert verify(noised, Reference(PAIRS)).passed
    assert simulated(noised, Euler(), rng) > 1e-3
    corrected = PredictorCorrector(RungeKutta(), corrector=Langevin(MODEL, 1.0), time=0.01)
    assert simulated(Reweighted(MODEL, (1.0, 0.0)), corrected, rng, 50) > 1e-3


def test_noise_by_default_is_that_of_the_bridge():
    x = torch.zeros(2, 1, dtype=D)
    assert_close(Noised(MODEL)(x, 0.5).covariance, torch.full((2, 1), 0.64, dtype=D))


def test_a_score_alone_is_a_corrector(rng):
    class Score(Oracle):
        def forward(self, x, t, condition=None):
            return super().forward(x, t)[..., 1]

    model = GeneratorModel(Score(), PATH, ScoreHead(2.0))
    assert model.kinds == frozenset({LangevinDiffusion})
    assert verify(model, Reference(PAIRS), role="stationary").passed
    solver = PredictorCorrector(RungeKutta(), corrector=model, time=0.01)
    assert simulated(Reweighted(MODEL, (1.0, 0.0)), solver, rng, 50) > 1e-3


@pytest.mark.parametrize("path", [PATH, BridgePath(noise=SineNoise()), GaussianPath()], ids=str)
def test_targets_are_the_velocity_and_minus_the_noise(path, rng):
    x_0, x_1 = torch.randn(2, 50, 2, generator=rng, dtype=D)
    z, t = path.given(x_0, x_1), torch.rand(50, generator=rng).double()
    x = path.sample(z, t, rng, x_0=x_0)
    velocity = solution(path, Flow)(path, x, t[:, None], z).velocity
    noise = -path.noise_width(t[:, None]) * path.score(x, t, z)
    exact = torch.stack([velocity, -noise], -1)
    off = torch.tensor([0.5, -2.0], dtype=D)
    for output, expected in ((exact, 0.0), (exact + off, 0.25 + 4.0)):
        model = GeneratorModel(lambda x, t, c, output=output: output, path, BOTH)
        assert_close(Objective()(model, path, z, t, x), torch.full((50,), expected, dtype=D))
    assert 0.7 < float(noise.std()) < 1.3  # of order one at every time


def test_a_drift_is_learnt_with_the_covariance_of_the_path(rng):
    x, t = torch.randn(6, 1, generator=rng, dtype=D), torch.linspace(0.1, 0.9, 6, dtype=D)
    exact = FiniteData(PATH, Diffusion, PAIRS)
    model = GeneratorModel(lambda x, t, c: exact(x, t).drift, PATH, DriftHead())
    found = model(x, t)
    assert_close(found.drift, exact(x, t).drift)
    assert_close(found.covariance, exact(x, t).covariance)
    one = PAIRS[[0] * 6]
    target = solution(PATH, Diffusion)(PATH, x, t[:, None], one).drift
    certain = GeneratorModel(lambda x, t, c: target, PATH, DriftHead())
    assert_close(Objective()(certain, PATH, one, t, x), torch.zeros(6, dtype=D))


def test_a_covariance_that_depends_on_the_data_is_learnt_too(rng):
    path = MixturePath(Interval(), UniformBox())
    x, z = (2 * torch.rand(20, 1, generator=rng, dtype=D) - 1 for _ in range(2))
    target = solution(path, Diffusion)(path, x, 0.5, z)
    raw = torch.expm1(target.covariance / path.schedule.hazard(torch.tensor(0.5).double())).log()
    output = torch.stack([target.drift, raw], -1)
    model = GeneratorModel(lambda x, t, c: output, path, DiffusionHead())
    assert_close(model(x, 0.5).covariance, target.covariance)
    assert_close(Objective()(model, path, z, 0.5, x), torch.zeros(20, dtype=D))


@pytest.mark.parametrize("head", [ScoreHead(0.5), DriftHead(), DiffusionHead(), BOTH], ids=str)
def test_a_head_survives_json(head):
    assert decode(encode(head)) == head


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScoreHead(-1.0), "noise is finite and at least 0"),
        (lambda: JointHead((FlowHead(), ScoreHead()), (0.5, 1.0)), "sum to 1"),
        (lambda: JointHead((FlowHead(), ScoreHead()), (1.0, -1.0)), "weights are at least 0"),
        (lambda: JointHead((ScoreHead(),), (1.0,)), "sum to 1"),
        (lambda: read(ScoreHead(), MixturePath(Interval(), UniformBox())), "score_head reads a Ga"),
        (lambda: read(DriftHead(), MixturePath(Tokens(2), Masked(1))), "drift_head reads a Gaus"),
        (lambda: read(ScoreHead(), BridgePath(noise=None)), "without noise has no score"),
        (lambda: read(DiffusionHead(), PATH), "reads an output"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def read(head, path):
    x = torch.zeros(2, 1)
    return head(path, x, x, 0.5)
