"""The moving average of weights: its closed form, its warm-up, and what it does not touch."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from feller.core.nn.ema import EMA


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


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5])
def test_a_decay_is_one(decay):
    with pytest.raises(ValueError, match=r"decay is in \[0, 1\)"):
        EMA(nn.Linear(1, 1), decay)
