"""The U-Net: the published sizes, and what holds for every choice of options."""

from dataclasses import replace

import pytest
import torch
from networks import awake, check_conditions, check_numbers, check_two_times
from torch import nn
from torch.testing import assert_close

from feller.core import train
from feller.core.config import decode, encode
from feller.core.nn.condition_kinds import ClassCondition, FloatCondition
from feller.core.nn.conditions import Conditions
from feller.images.networks.unet import UNetConfig

TINY = UNetConfig(
    in_channels=1, out_channels=1, channels=(8, 16), blocks_per_level=1, num_classes=3, patch_size=2
)
DDPM = UNetConfig(channels=(8, 16), asymmetric_padding=True, frequency_shift=1.0, norm_eps=1e-6)
ADM = UNetConfig(
    channels=(8, 16, 16),
    stem_channels=12,
    attention_levels=(1, 2),
    head_channels=4,
    num_classes=3,
    scale_shift_norm=True,
    residual_resampling=True,
)
JUMP = UNetConfig(in_channels=1, out_channels=9, channels=(8,), attention_levels=())
every_config = pytest.mark.parametrize(
    "config", [TINY, DDPM, ADM, JUMP], ids=["tiny", "ddpm", "adm", "jump"]
)


def inputs(config, rng, b=4):
    x = torch.randn(b, config.in_channels, 8, 12, generator=rng, dtype=torch.float64)
    t = torch.rand(b, generator=rng, dtype=torch.float64)
    labels = torch.arange(b) if config.num_classes else None
    return x, t, labels


def count(config):
    with torch.device("meta"):
        return sum(p.numel() for p in config.build().parameters())


def test_parameters_of_ddpm_for_cifar10():
    assert count(UNetConfig(channels=(128, 256, 256, 256))) == 35_746_307


def test_parameters_of_adm_for_imagenet64():
    config = UNetConfig(
        out_channels=6,
        channels=(192, 384, 576, 768),
        blocks_per_level=3,
        attention_levels=(1, 2, 3),
        head_channels=64,
        num_classes=1000,
        scale_shift_norm=True,
        residual_resampling=True,
    )
    null_class = config.embedding_dim
    assert round((count(config) - null_class) / 1e6) == 296


@every_config
def test_a_fresh_network_returns_zeros(config, rng):
    x, t, labels = inputs(config, rng)
    out = config.build().double()(x, t, labels)
    assert out.shape == (4, config.out_channels, 8, 12)
    assert not out.any()


@every_config
def test_several_numbers_are_those_of_as_many_networks(config, rng):
    """Number j of the last axis is that of a network with the rows j, k + j, ... at its end."""
    k, (x, t, labels) = 3, inputs(config, rng)
    wide, narrow = config.build(k).double().eval(), config.build().double().eval()
    with torch.no_grad():
        for parameter in wide.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=rng))
    out = wide(x, t, labels)
    assert out.shape == (4, config.out_channels, 8, 12, k)
    for j in range(k):
        state = wide.state_dict()
        state |= {f"head.{name}": state[f"head.{name}"][j::k] for name in ("weight", "bias")}
        narrow.load_state_dict(state)
        assert_close(narrow(x, t, labels), out[..., j])


@every_config
def test_gradient_reaches_every_parameter(config, rng):
    network = awake(config, rng)
    network(*inputs(config, rng)).square().sum().backward()
    assert [n for n, p in network.named_parameters() if not p.grad.count_nonzero()] == []


@every_config
def test_time_label_and_image_matter_and_neighbours_do_not(config, rng):
    network = awake(config, rng).eval()
    x, t, labels = inputs(config, rng)
    out = network(x, t, labels)
    assert not torch.allclose(network(x, 1 - t, labels), out)
    assert not torch.allclose(network(x + 0.1, t, labels), out)
    if labels is not None:
        assert not torch.allclose(network(x, t, labels.roll(1)), out)
    alone = network(x[1:2], t[1:2], None if labels is None else labels[1:2])
    assert_close(alone, out[1:2])


@pytest.mark.parametrize("config", [TINY, ADM], ids=["tiny", "adm"])
def test_no_label_is_the_null_label(config, rng):
    network = awake(config, rng)
    x, t, _ = inputs(config, rng)
    null = torch.full((len(x),), config.num_classes)
    assert torch.equal(network(x, t), network(x, t, null))


def test_the_same_seed_gives_the_same_network():
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        states.append(TINY.build().state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_dropout_acts_in_training_only(rng):
    network = awake(UNetConfig(channels=(8, 16), dropout=0.5), rng)
    x, t, _ = inputs(network.config, rng)
    assert not torch.equal(network(x, t), network(x, t))
    network.eval()
    assert torch.equal(network(x, t), network(x, t))


def test_no_norm_has_groups_of_less_than_four_channels():
    norms = [m for m in TINY.build().modules() if isinstance(m, nn.GroupNorm)]
    assert min(norm.num_channels // norm.num_groups for norm in norms) == 4
    first = next(m for m in UNetConfig().build().modules() if isinstance(m, nn.GroupNorm))
    assert (first.num_groups, first.num_channels) == (32, 128)


def test_a_level_has_channels():
    with pytest.raises(ValueError, match=r"channels is at least 1, not \(8, 0\)"):
        UNetConfig(channels=(8, 0))


def test_sides_that_cannot_be_halved_are_an_error():
    with pytest.raises(ValueError, match="multiples of 4: pad 14x12 to 16x12"):
        TINY.build()(torch.zeros(1, 1, 14, 12), torch.zeros(1))


def test_labels_for_an_unconditional_network_are_an_error():
    with pytest.raises(ValueError, match="unconditional"):
        JUMP.build()(torch.zeros(1, 1, 4, 4), torch.zeros(1), torch.zeros(1, dtype=torch.long))


def test_an_attention_level_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match=r"\(2,\) are not 0 ... 1"):
        UNetConfig(channels=(8, 16), attention_levels=(2,))


@every_config
def test_the_config_is_data(config):
    assert decode(encode(config)) == config


def test_the_weights_of_one_time_start_two(rng):
    check_two_times(TINY, inputs(TINY, rng), rng)


def test_a_condition_may_be_numbers(rng):
    check_numbers(TINY, inputs(TINY, rng), rng)


def test_it_is_told_things_of_any_kind_by_name(rng):
    check_conditions(TINY, inputs(TINY, rng), rng)


def test_one_that_is_told_things_trains_loads_and_is_guided(tmp_path):
    """Each condition is dropped at its own rate; the network is saved with what it is told."""

    class Told(torch.utils.data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, i):
            return torch.full((1, 4, 4), i / 4 - 1), {"kind": i % 2, "size": i / 8}

    told = Conditions({"kind": ClassCondition(classes=2), "size": FloatCondition(drop=0.5)})
    config = replace(TINY, in_channels=1, out_channels=1, num_classes=0, patch_size=1)
    network = replace(config, conditions=told).build()
    quiet = {"cpu": True, "batch_size": 4, "sample_every": 0, "steps": 2, "lr": 1e-2, "warmup": 0}
    model = train(Told(), network, tmp_path / "a", **quiet)
    assert model.config.network.conditions == told
    asked = {"kind": torch.tensor([0, 1]), "size": torch.tensor([0.5, torch.nan])}
    drawn = model.sample(2, condition=asked, steps=2, guidance=2.0)
    assert drawn.shape == (2, 1, 4, 4)
    assert not drawn.equal(model.sample(2, steps=2))
