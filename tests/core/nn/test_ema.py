"""The moving average of weights: its closed form, its warm-up, and what it does not touch."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from feller.core.nn.ema import EMA, PowerFunction


def set_weights(model, value):
    for parameter in model.parameters():
        parameter.data.fill_(value)


def test_the_average_of_constant_steps_has_a_closed_form():
    model = nn.Linear(2, 3).double()
    set_weights(model, 0.0)
    ema = EMA(model, 0.9)
    set_weights(model, 1.0)
    for _ in range(5):
        ema.update(model, step=10_000)
    assert_close(ema.model.weight, torch.full((3, 2), 1 - 0.9**5).double())
    assert_close(ema.model.bias, torch.full((3,), 1 - 0.9**5).double())


@pytest.mark.parametrize(("step", "decay"), [(1, 2 / 11), (8, 0.5), (90, 0.9), (10**6, 0.9)])
def test_the_decay_warms_up(step, decay):
    model = nn.Linear(1, 1).double()
    set_weights(model, 0.0)
    ema = EMA(model, 0.9)
    set_weights(model, 1.0)
    ema.update(model, step)
    assert_close(ema.model.weight.item(), 1 - min(decay, 0.9))


def test_the_model_and_its_average_are_apart():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    ema = EMA(model, 0.999)
    assert not ema.model.training
    assert model.training
    assert not any(p.requires_grad for p in ema.model.parameters())
    assert all(p.requires_grad for p in model.parameters())
    before = model[0].weight.clone()
    ema.model[0].weight.zero_()
    assert torch.equal(model[0].weight, before)


def test_buffers_are_copied():
    model = nn.BatchNorm1d(2)
    ema = EMA(model, 0.999)
    model(torch.randn(8, 2))
    ema.update(model, step=1)
    assert torch.equal(ema.model.running_mean, model.running_mean)
    assert ema.model.num_batches_tracked == 1


def test_the_state_is_the_average():
    model = nn.Linear(2, 2)
    ema, other = EMA(model, 0.9), EMA(nn.Linear(2, 2), 0.9)
    set_weights(model, 3.0)
    ema.update(model, step=1)
    other.load_state_dict(ema.state_dict())
    assert torch.equal(other.model.weight, ema.model.weight)
    with pytest.raises(RuntimeError, match="size mismatch"):
        EMA(nn.Linear(3, 2), 0.9).load_state_dict(ema.state_dict())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_average_of_half_precision_weights_moves(dtype):
    model = nn.Sequential(nn.Linear(2, 2).to(dtype), nn.Linear(2, 2))
    set_weights(model, 1.0)
    ema = EMA(model, 0.999, others={"0.99": 0.99})
    set_weights(model, 2.0)
    for _ in range(1000):
        ema.update(model, step=10**6)
    exact = 2 - 0.999**1000
    assert ema.model[0].weight.dtype == dtype
    assert_close(ema.model[0].weight.float(), torch.full((2, 2), exact), rtol=0, atol=0.004)
    assert_close(ema.state_dict()["0.weight"], torch.full((2, 2), exact))
    assert_close(ema.state_dict()["others/0.99/0.bias"], torch.full((2,), 2 - 0.99**1000))
    assert_close(ema.model[1].weight, torch.full((2, 2), exact))


def test_what_half_precision_cannot_hold_is_in_the_state():
    model = nn.Linear(2, 2).bfloat16()
    set_weights(model, 1.0)
    ema, again, read = (EMA(model, 0.999, others={"0.9": 0.9}) for _ in range(3))
    set_weights(model, 1.1)
    ema.update(model, step=10**6)
    again.load_state_dict(ema.state_dict())
    for name, tensor in read.state_dict().items():  # as a checkpoint is read
        tensor.copy_(ema.state_dict()[name])
    read.settle()
    for other in (ema, again, read):
        for _ in range(500):
            other.update(model, step=10**6)
    assert ema.model.weight.float().mean() > 1.03
    for other in (again, read):
        assert torch.equal(other.model.weight, ema.model.weight)
        for name, tensor in ema.state_dict().items():
            assert torch.equal(other.state_dict()[name], tensor)


def test_half_precision_weights_that_are_not_trained_cost_no_copy_more():
    model = nn.Linear(2, 2).bfloat16().requires_grad_(False)
    assert EMA(model, 0.9).state_dict()["weight"].dtype == torch.bfloat16


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5])
def test_a_decay_is_one(decay):
    with pytest.raises(ValueError, match=r"decay is in \[0, 1\)"):
        EMA(nn.Linear(1, 1), decay)


@pytest.mark.parametrize("width", [0.05, 0.1, 0.25])
def test_a_power_function_weighs_each_step_by_its_closed_form(width):
    """Step k of T has the weight (k^(gamma + 1) - (k - 1)^(gamma + 1)) / T^(gamma + 1)."""
    steps, power = 40, PowerFunction(width).exponent + 1
    model = nn.Linear(1, steps, bias=False).double()
    set_weights(model, 5.0)  # of which nothing is left
    ema = EMA(model, PowerFunction(width))
    for k in range(1, steps + 1):
        model.weight.data = torch.eye(steps, dtype=torch.float64)[:, k - 1 : k]
        ema.update(model, k)
    k = torch.arange(1, steps + 1, dtype=torch.float64)
    exact = (k**power - (k - 1) ** power) / steps**power
    assert_close(ema.model.weight.flatten(), exact, rtol=1e-10, atol=1e-15)
    assert ema.model.weight.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("width", [0.02, 0.05, 0.1, 0.28])
def test_the_width_is_the_standard_deviation_of_the_profile(width):
    gamma, s = PowerFunction(width).exponent, torch.linspace(0, 1, 400_001, dtype=torch.float64)
    p = (gamma + 1) * s**gamma
    mean, square = torch.trapezoid(p * s, s), torch.trapezoid(p * s**2, s)
    assert (square - mean**2).sqrt().item() == pytest.approx(width, rel=1e-4)


@pytest.mark.parametrize("width", [0.0, -0.1, 0.3, 1.0])
def test_a_width_is_one(width):
    with pytest.raises(ValueError, match="the width of an average is in"):
        PowerFunction(width)


def test_further_averages_follow_too_and_are_in_the_state():
    model = nn.Linear(1, 1).double()
    ema = EMA(model, 0.9, others={"0.5": 0.5, "width=0.1": PowerFunction(0.1)})
    alone = EMA(model, 0.5)
    for step in range(1, 30):
        set_weights(model, float(step))
        ema.update(model, step)
        alone.update(model, step)
    assert torch.equal(ema.others["0.5"].model.weight, alone.model.weight)
    assert not torch.equal(ema.model.weight, alone.model.weight)
    other = EMA(nn.Linear(1, 1).double(), 0.9, others={"0.5": 0.5, "width=0.1": PowerFunction(0.1)})
    other.load_state_dict(ema.state_dict())
    for name, value in ema.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict(EMA(model, 0.9).state_dict())
