import pytest
import torch
from torch import nn
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.discrete.solvers import FirstHitting
from feller.core.heads import FlowHead, JointHead, JumpHead, PosteriorHead
from feller.core.networks import buildable, network_config
from feller.core.own_models import OwnModelConfig, TensorCodec
from feller.core.paths import GaussianPath, GeometricPath, MixturePath
from feller.core.schedules import Polynomial, VariancePreserving
from feller.core.solvers import EndWithEstimate, Euler, simulate
from feller.core.sources import Masked, UniformBox
from feller.core.spaces import Interval, Tokens


@buildable
class Net(nn.Module):
    def __init__(self, numbers=1, tokens=0):
        super().__init__()
        self.numbers, self.tokens = numbers, tokens
        self.layer = nn.Linear(2, 2 * numbers)

    def forward(self, x, t, condition=None):
        out = self.layer(x.float()) * t[:, None]
        if condition is not None:
            out = out + condition.nan_to_num(-1.0)[:, None]
        return out.unflatten(1, (2, -1)).squeeze(-1)


def model(head=None, path=None, **network):
    net = Net(**network)
    path, head = path or GaussianPath(), head or FlowHead()
    config = OwnModelConfig(network=network_config(net), path=path, head=head, shape=(2,))
    return config.starting(net).build()


MASKED = MixturePath(Tokens(5), Masked(4))


@pytest.mark.parametrize(
    "made",
    [
        lambda: model(),
        lambda: model(JumpHead(8), numbers=JumpHead(8).channels),
        lambda: model(PosteriorHead(4), MASKED, numbers=4),
    ],
    ids=["flow", "jump", "tokens"],
)
def test_samples_depend_on_seed_and_number_alone(made):
    own = made()
    first = own.sample(3, steps=4, seed=1)
    assert first.shape == (3, 2)
    assert own.sample(5, steps=4, seed=1)[:3].equal(first)
    if own.path is MASKED:
        assert first.min() >= 0 and first.max() < 4


def test_guidance_goes_away_from_what_training_drops_to():
    own = model()
    one = torch.ones(2)
    plain, shifted = (own.sample(2, condition=c, steps=1, seed=0) for c in (torch.nan * one, one))
    guided = own.sample(2, condition=one, steps=1, seed=0, guidance=2.0)
    assert_close(guided, 2 * shifted - plain)
    assert own.unconditional({"class": torch.tensor([3, 4]), "size": None})["class"].eq(-1).all()
    with pytest.raises(ValueError, match="guidance needs a condition"):
        own.sample(2, guidance=2.0)


def test_the_network_it_starts_with_is_copied_and_not_saved():
    net = Net()
    config = OwnModelConfig(
        network=network_config(net), path=GaussianPath(), head=FlowHead(), shape=(2,)
    )
    started = config.starting(net).build()
    assert started.network is not net
    assert started.network.layer.weight.equal(net.layer.weight)
    assert decode(encode(config.starting(net))) == config


def test_items_of_other_parts_are_refused():
    with pytest.raises(ValueError, match="a tensor, or a tensor and its condition, not str"):
        TensorCodec().encode("points")


def test_no_mask_is_left_in_samples_of_tokens():
    own = model(PosteriorHead(4), MASKED, numbers=4)
    for solver in (None, FirstHitting()):
        assert own.sample(2000, solver=solver).max() < 4


NOISE, BOX = FlowHead("noise"), MixturePath(Interval(), UniformBox())


@pytest.mark.parametrize(
    ("head", "path"),
    [
        (PosteriorHead(4), GeometricPath(Tokens(4))),
        (PosteriorHead(9), BOX),
        (PosteriorHead(9, diffusion=1.0, jump=0.0), BOX),
        (NOISE, None),
        (FlowHead("score"), None),
        (NOISE, GaussianPath(schedule=Polynomial(2.0))),
        (NOISE, GaussianPath(schedule=VariancePreserving())),
        (JointHead((NOISE, JumpHead(8)), (0.5, 0.5)), None),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("steps", [1, 7, 200])
def test_whatever_is_trained_has_a_default(head, path, steps):
    own = model(head, path, numbers=head.channels)
    own.network.forward = lambda x, t, c=None: torch.zeros(*x.shape, head.channels).squeeze(-1)
    found = own.sample(50, steps=steps)
    assert found.isfinite().all()
    own.path.space.check(found)


def test_jumps_of_a_mixture_reach_the_data():
    own = model(PosteriorHead(3), BOX, numbers=3)
    found = own.sample(2000, steps=4)
    assert set(found.flatten().tolist()) == {-1.0, 0.0, 1.0}


def test_what_predicts_noise_starts_where_there_are_data():
    own = model(NOISE)
    own.network.forward = lambda x, t, c=None: x / (1 - t[:, None])  # the noise where z = 0
    assert_close(own.sample(50, steps=8), torch.zeros(50, 2))


def test_a_model_in_double_precision_draws_in_it():
    own = model()
    own.network.forward = lambda x, t, condition=None: own.network.layer(x)
    assert own.double().sample(2, steps=1).dtype == torch.float64


def test_samples_start_where_they_are_told_to():
    own = model()
    start = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert own.sample(start, steps=3).equal(own.sample(start, steps=3, seed=1))
    assert not own.sample(start, steps=3).equal(own.sample(2, steps=3))
    with pytest.raises(ValueError, match=r"source samples have shape \(2, 1\), not \(2, 2\)"):
        own.sample(start[:, :1])


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (1, "a condition is a tensor with a row for each sample, not int"),
        ([1, 2], "a condition is a tensor with a row for each sample, not int"),
        (torch.ones(3), r"a condition of shape \(3,\) has no row for each of 2"),
        ({"side": torch.ones(())}, r"a condition of shape \(\) has no row for each of 2"),
    ],
)
def test_a_condition_without_a_row_for_each_is_refused(condition, message):
    with pytest.raises(ValueError, match=message):
        model().sample(2, condition=condition)


def test_it_says_where_the_data_are():
    own = model()
    found = simulate(own, torch.zeros(2, 2), [0.0, 0.5, 1.0], EndWithEstimate(Euler()))
    assert found.state.isfinite().all()
