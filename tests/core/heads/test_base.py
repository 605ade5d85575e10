"""Heads: a network that returns what an oracle knows gives the generator of the oracle."""

import inspect
import json
from types import SimpleNamespace

import pytest
import torch
from few_points import POINTS, WEIGHTS, T, every_path, states
from torch import nn
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.generators import (
    Flow,
    FromPosterior,
    Jump,
)
from feller.core.heads import FlowHead, JointHead, JumpHead, PosteriorHead
from feller.core.losses import Objective
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath, GeodesicPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.sources import Gaussian, Masked, UniformSphere
from feller.core.spaces import Euclidean, Sphere, Tokens


@every_path
@pytest.mark.parametrize("prediction", ["velocity", "x_1", "noise", "score"])
def test_a_flow_head_reads_the_exact_flow(path, prediction, rng):
    from feller.core.parametrizations import convert

    oracle, x = FiniteData(path, Flow, POINTS, WEIGHTS), states(path, rng)
    velocity = oracle(x, T).velocity
    output = convert(velocity, ("velocity", prediction), path.schedule, x, T)
    assert_close(FlowHead(prediction)(path, output, x, T).velocity, velocity)


def test_a_flow_head_takes_the_tangent_part(rng):
    path = GeodesicPath(Sphere(), UniformSphere())
    x = nn.functional.normalize(torch.randn(4, 3, generator=rng), dim=-1)
    flow = FlowHead()(path, torch.randn(4, 3, generator=rng), x, 0.5)
    assert_close((flow.velocity * x).sum(-1), torch.zeros(4), atol=1e-6, rtol=0)


def test_a_joint_head_shares_the_output_out(rng):
    head = JointHead((FlowHead("x_1"), JumpHead(4), PosteriorHead(3)), (0.2, 0.3, 0.5))
    path, x = GaussianPath(), torch.randn(4, 2, generator=rng)
    output = torch.randn(4, 2, 9, generator=rng)
    assert head.channels == 9
    assert head.kinds == {Flow, Jump}
    parts = head(path, output, x, 0.5).parts
    assert [part.weight for part in parts] == [0.2, 0.3, 0.5]
    assert_close(
        parts[0].generator.velocity, FlowHead("x_1")(path, output[..., 0], x, 0.5).velocity
    )
    jump = JumpHead(4)(path, output[..., 1:6], x, 0.5)
    assert_close(parts[1].generator.intensity, jump.intensity)
    assert_close(parts[1].generator.destination.logits, jump.destination.logits)
    # a part that is a superposition of its own is multiplied out: the posterior, with one part
    assert isinstance(parts[2].generator, FromPosterior)


class Joint(nn.Module):
    """Two layers that share nothing, for a flow and for a jump."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.flow, self.jump = nn.Linear(1, 1), nn.Linear(1, 5)

    def forward(self, x, t, condition=None):
        return torch.cat([self.flow(x[..., None]), self.jump(x[..., None])], -1)


def test_a_joint_head_trains_its_parts_separately(rng):
    """The gradient of each part is what it would be alone, whatever the weights."""
    path, (z, x) = GaussianPath(), torch.randn(2, 4, 3, generator=rng).tanh()
    network = Joint()
    alone = {
        network.flow: GeneratorModel(lambda x, t, c: network(x, t)[..., 0], path, FlowHead()),
        network.jump: GeneratorModel(lambda x, t, c: network(x, t)[..., 1:], path, JumpHead(4)),
    }
    for weights in ((0.5, 0.5), (0.9, 0.1)):
        joint = GeneratorModel(network, path, JointHead((FlowHead(), JumpHead(4)), weights))
        loss = Objective()(joint, path, z, 0.5, x).sum()
        for layer, model in alone.items():
            expected = Objective()(model, path, z, 0.5, x).sum()
            slopes = [
                torch.autograd.grad(v, list(layer.parameters()), retain_graph=True)
                for v in (loss, expected)
            ]
            assert_close(*slopes)


def test_a_velocity_and_a_posterior_say_where_the_data_are():
    x, t = torch.zeros(2, 3), 0.5
    mean = FlowHead().estimate(GaussianPath(), torch.ones(2, 3), x, t)
    assert_close(mean.sample(None), torch.full((2, 3), 0.5))  # x + (1 - t) v
    tokens = MixturePath(Tokens(4), Masked(3))
    said = PosteriorHead(3).estimate(tokens, torch.zeros(2, 5, 3), torch.full((2, 5), 3), t)
    assert_close(said.log_masses().exp(), torch.full((2, 5, 3), 1 / 3))
    with pytest.raises(LookupError, match="a JumpHead does not say where the data are"):
        JumpHead(8).estimate(GaussianPath(), torch.zeros(2, 3, 9), x, t)
    with pytest.raises(LookupError, match="velocity of a GeodesicPath gives no x_1"):
        FlowHead().estimate(GeodesicPath(Sphere(3), UniformSphere()), x, x, t)


HEADS = [
    FlowHead("noise"),
    JumpHead(32, (0.0, 2.0)),
    PosteriorHead(16, 0.5, 0.2, 0.3, (0.0, 2.0)),
    JointHead((FlowHead("x_1"), JumpHead(8)), (0.25, 0.75)),
]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_a_head_survives_json(head):
    again = decode(json.loads(json.dumps(encode(head))))
    assert again == head
    assert again.kinds == head.kinds
    assert again.channels == head.channels


no_check = inspect.unwrap(FlowHead.__post_init__)  # the checker of the tests refuses it before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: PosteriorHead(4, 0.5, 0.2, 0.2),
            "flow, diffusion and jump are at least 0 and sum to 1, not",
        ),
        (lambda: PosteriorHead(4, 1.5, -0.5, 0.0), "flow, diffusion and jump are at least 0"),
        (lambda: PosteriorHead(1), "levels is at least 2, not 1"),
        (lambda: PosteriorHead(4, data=(1.0, 1.0)), "data lie between two rising numbers, not"),
        (lambda: JumpHead(0), "bins is at least 1, not 0"),
        (
            lambda: JumpHead(data=(1.0, -1.0)),
            r"data lie between two rising numbers, not \(1\.0, -1",
        ),
        (
            lambda: JointHead((FlowHead(),), (0.5,)),
            r"weights are at least 0 and sum to 1, not \(0\.5,",
        ),
        (lambda: JointHead((FlowHead(),), (0.5, 0.5)), "1 heads have a weight each, not"),
        (lambda: JointHead((), ()), "weights are at least 0 and sum to 1"),
        (lambda: no_check(SimpleNamespace(prediction="foo")), "or score, not 'foo'"),
    ],
)
def test_values_that_are_none_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "head", [JumpHead(4), PosteriorHead(5), JointHead((JumpHead(4),), (1.0,))], ids=str
)
def test_other_channels_are_named(head):
    x = torch.zeros(3, 2)
    message = r"the head reads an output \(3, 2, 5\), the network gave \(3, 2, 6\)$"
    with pytest.raises(ValueError, match=message):
        head(GaussianPath(), torch.zeros(3, 2, 6), x, 0.5)


def test_what_a_path_has_no_solution_for_is_named_before_it_is_trained():
    x, tokens = torch.zeros(3, 2), MixturePath(Tokens(4), Masked(3))
    with pytest.raises(LookupError, match="GeodesicPath x Jump"):
        PosteriorHead(5)(GeodesicPath(Euclidean(), Gaussian()), torch.zeros(3, 2, 5), x, 0.5)
    with pytest.raises(LookupError, match="MixturePath x Flow"):
        PosteriorHead(4, flow=1.0, jump=0.0)(tokens, torch.zeros(3, 2, 4), x.long(), 0.5)
    with pytest.raises(ValueError, match="jump_head reads bins of numbers; for tokens there is"):
        JumpHead(4)(tokens, torch.zeros(3, 2, 5), x.long(), 0.5)
    with pytest.raises(ValueError, match="x_1 of a GeodesicPath gives no velocity"):
        FlowHead("x_1")(GeodesicPath(Euclidean(), Gaussian()), x, x, 0.5)
