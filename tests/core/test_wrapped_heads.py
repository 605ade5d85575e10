import pytest
import torch
from torch.testing import assert_close

from feller.core.heads import FlowHead, PosteriorHead
from feller.core.models import GeneratorModel
from feller.core.noise import Langevin
from feller.core.paths import GaussianPath, GeodesicPath, MixturePath
from feller.core.schedules import CondOT, Cosine
from feller.core.sources import Masked, UniformSphere
from feller.core.spaces import Sphere, Tokens
from feller.core.wrapped_heads import LangevinHead, TemperedHead

X = torch.tensor([[0.3, -1.2], [2.0, 0.1]])
OUTPUT = torch.tensor([[0.5, 0.2], [-0.7, 1.1]])


@pytest.mark.parametrize("schedule", [CondOT(), Cosine()], ids=str)
@pytest.mark.parametrize("prediction", ["velocity", "x_1"])
def test_the_diffusion_is_that_of_the_flow(schedule, prediction):
    path, t = GaussianPath(schedule=schedule), torch.tensor([0.2, 0.7])
    head = FlowHead(prediction)
    found = LangevinHead(head, lambda t: (1 - t) ** 2)(path, OUTPUT, X, t)
    flow = GeneratorModel(lambda x, t, condition: OUTPUT, path, head)
    due = Langevin(flow, lambda t: 1 - t)(X, t)
    move, noise = found.parts
    assert (move.role, noise.role) == ("forward", "stationary")
    assert_close(move.generator.velocity, flow(X, t).velocity)
    assert_close(noise.generator.drift, due.drift)
    assert_close(noise.generator.covariance, due.covariance.expand_as(X))


def test_less_noise_leaves_the_drift_as_it_is():
    path = GaussianPath()
    full, less = (
        LangevinHead(FlowHead(), lambda t: 1 - t, scale)(path, OUTPUT, X, 0.5).parts[1].generator
        for scale in (1.0, 0.5)
    )
    assert_close(less.drift, full.drift)
    assert_close(less.covariance, full.covariance / 4)


def test_noise_wants_a_path_that_knows_its_score():
    path = GeodesicPath(Sphere(2), UniformSphere())
    with pytest.raises(
        ValueError, match="takes the score from a velocity, which determines it on a Gauss"
    ):
        LangevinHead(FlowHead(), lambda t: t)(path, OUTPUT, X, 0.5)


def test_what_is_known_has_finite_noise():
    clock = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    found = LangevinHead(FlowHead(), lambda t: 1 - t)(GaussianPath(), OUTPUT, X, clock)
    assert found.split().drift.isfinite().all()


def test_an_estimate_is_that_of_the_head():
    path, head = GaussianPath(), FlowHead("x_1")
    assert LangevinHead(head, lambda t: t).estimate(path, OUTPUT, X, 0.5).sample(None) is OUTPUT


@pytest.mark.parametrize("temperature", [0.0, 1e-39, 0.5, 1.0, 4.0])
def test_a_temperature_is_a_power_of_the_posterior(temperature):
    path, x = MixturePath(Tokens(4), Masked(3)), torch.full((1, 2), 3)
    logits = torch.tensor([[[0.1, 1.0, -0.4], [2.0, 0.0, 1.0]]])
    p = logits.softmax(-1)
    due = (p == p.amax(-1, keepdim=True)).float()
    if temperature > 0.1:
        due = p ** (1 / temperature)
    head = TemperedHead(PosteriorHead(3), temperature)
    due = due / due.sum(-1, keepdim=True)
    assert_close(head.estimate(path, logits, x, 0.5).log_masses().exp(), due)
    assert_close(head(path, logits, x, 0.5).posterior.log_masses().exp(), due)
    assert (head.kinds, head.channels) == (head.head.kinds, 3)
