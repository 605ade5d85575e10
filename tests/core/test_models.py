"""Models: a network's output, read as a generator."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.heads import FlowHead
from feller.core.models import GeneratorModel, Model, takes_condition
from feller.core.parametrizations import convert
from feller.core.paths import GaussianPath, MixturePath
from feller.core.schedules import VariancePreserving
from feller.core.solvers import Euler, simulate
from feller.core.sources import Masked
from feller.core.spaces import Euclidean, Tokens


class Probe(nn.Module):
    """A network that keeps what it was called with."""

    def forward(self, x, t, condition):
        self.called = x, t, condition
        return 2 * x


def test_a_model_is_what_solvers_need():
    model = GeneratorModel(Probe(), GaussianPath(Euclidean(2)))
    assert isinstance(model, Model)
    assert model.kinds == {Flow}
    assert model.space == Euclidean(2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_float_time_becomes_a_clock_a_sample(dtype):
    model, x = GeneratorModel(Probe(), GaussianPath()), torch.ones(3, 2, dtype=dtype)
    assert_close(model(x, 0.25, "a cat").velocity, 2 * x)
    given, t, condition = model.network.called
    assert given is x
    assert_close(t, torch.full((3,), 0.25, dtype=dtype))
    assert condition == "a cat"


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_a_clock_is_passed_on(shape, rng):
    model, t = GeneratorModel(Probe(), GaussianPath()), torch.rand(shape, generator=rng)
    model(torch.ones(3, 2), t)
    assert model.network.called[1] is t


def test_the_time_of_tokens_is_not_a_token():
    model = GeneratorModel(Probe(), MixturePath(Tokens(5), Masked(4)))
    with pytest.raises(ValueError, match="velocity of a MixturePath gives no velocity"):
        model(torch.ones(3, 2, dtype=torch.int64), 0.25)
    assert_close(model.network.called[1], torch.full((3,), 0.25))


@pytest.mark.parametrize("prediction", ["velocity", "x_1", "noise", "score"])
@pytest.mark.parametrize("t", [0.3, torch.tensor([0.2, 0.5, 0.9])])
def test_the_head_reads_every_prediction(prediction, t, rng):
    path = GaussianPath(schedule=VariancePreserving())
    model = GeneratorModel(Probe(), path, FlowHead(prediction))
    x = torch.randn(3, 2, generator=rng)
    expected = convert(2 * x, (prediction, "velocity"), path.schedule, x, t)
    assert_close(model(x, t).velocity, expected)


def test_the_weights_are_those_of_the_network():
    model = GeneratorModel(nn.Linear(2, 2), GaussianPath())
    assert {name for name, _ in model.named_parameters()} == {"network.weight", "network.bias"}


@pytest.mark.parametrize("t", [1.5, -0.1, float("nan"), torch.tensor([0.5, 2.0, 0.1])])
def test_times_are_in_the_unit_interval(t):
    model = GeneratorModel(Probe(), GaussianPath())
    with pytest.raises(ValueError, match=r"t lies in \[0, 1\], not"):
        model(torch.ones(3, 2), t)
    assert model(torch.ones(3, 2), 0.9 + (1.0 - 0.9) + 1e-9).velocity.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_networks_in_half_precision_move_states_in_single(dtype):
    """Their states stay single, or a step would be lost in rounding."""

    class Seen(nn.Linear):
        def forward(self, x, t, condition=None):
            self.seen = x.dtype, t.dtype
            return super().forward(x)

    network = Seen(2, 2)
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    model = GeneratorModel(network, GaussianPath())
    exact = simulate(model, x, [0.0, 0.5, 1.0], Euler()).state
    half = simulate(model.to(dtype), x, [0.0, 0.5, 1.0], Euler()).state
    assert network.seen == (dtype, torch.float32)
    assert half.dtype == torch.float32
    assert_close(half, exact, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("output", [None, (torch.zeros(2, 2),), {"sample": torch.zeros(2, 2)}])
def test_a_network_that_returns_no_tensor_is_refused(output):
    model = GeneratorModel(lambda x, t, condition: output, GaussianPath())
    with pytest.raises(ValueError, match=f"returns a tensor, not a {type(output).__name__}"):
        model(torch.zeros(2, 2), 0.5)


def test_a_network_that_torch_wraps_is_called_as_itself():
    class Two(nn.Module):
        def forward(self, x, t):
            return -x

    class Three(nn.Module):
        def forward(self, x, t, condition=None):
            return -x

    compiled = torch.compile(Two(), backend="eager")
    for wrapped in (compiled, nn.DataParallel(Two())):
        assert not takes_condition(wrapped)
        assert GeneratorModel(wrapped, GaussianPath())(torch.ones(2, 1), 0.5).velocity.shape == (
            2,
            1,
        )
    assert takes_condition(torch.compile(Three(), backend="eager"))
    assert takes_condition(nn.DataParallel(Three()))
