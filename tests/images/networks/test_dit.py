"""The DiT: the published sizes, and its parts in their places."""

import pytest
import torch
from networks import awake, check_conditions, check_numbers, check_two_times
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.nn.transformer import TransformerConfig
from feller.images.networks.dit import DIT_SIZES, DiTConfig

TINY = DiTConfig(
    in_channels=1,
    out_channels=2,
    patch_size=4,
    transformer=TransformerConfig(dim=12, depth=2, num_heads=3),
    num_classes=3,
)


def inputs(rng, b=4):
    x = torch.randn(b, 1, 8, 12, generator=rng, dtype=torch.float64)
    return x, torch.rand(b, generator=rng, dtype=torch.float64), torch.arange(b)


@pytest.mark.parametrize(("size", "millions"), [("S", 33), ("B", 130), ("L", 458), ("XL", 675)])
def test_parameters_are_those_of_the_paper(size, millions):
    config = DiTConfig(in_channels=4, out_channels=8, transformer=DIT_SIZES[size], num_classes=1000)
    with torch.device("meta"):
        parameters = sum(p.numel() for p in config.build().parameters())
    assert round(parameters / 1e6) == millions


def test_a_fresh_network_returns_zeros(rng):
    out = TINY.build().double()(*inputs(rng))
    assert out.shape == (4, 2, 8, 12)
    assert not out.any()


def test_gradient_reaches_every_parameter(rng):
    network = awake(TINY, rng)
    network(*inputs(rng)).square().sum().backward()
    assert [n for n, p in network.named_parameters() if not p.grad.count_nonzero()] == []


def test_time_label_and_image_matter_and_neighbours_do_not(rng):
    network = awake(TINY, rng)
    x, t, labels = inputs(rng)
    out = network(x, t, labels)
    assert not torch.allclose(network(x, 1 - t, labels), out)
    assert not torch.allclose(network(x, t, labels.roll(1)), out)
    assert not torch.allclose(network(x + 0.1, t, labels), out)
    assert_close(network(x[1:2], t[1:2], labels[1:2]), out[1:2])


def test_no_label_is_the_null_label(rng):
    network = awake(TINY, rng)
    x, t, _ = inputs(rng)
    assert torch.equal(network(x, t), network(x, t, torch.full((4,), 3)))


def test_a_patch_goes_out_where_it_came_in(rng):
    no_blocks = TransformerConfig(dim=12, depth=0, num_heads=3)
    network = awake(DiTConfig(in_channels=1, patch_size=4, transformer=no_blocks), rng)
    x, t, _ = inputs(rng)
    other = x.clone()
    other[:, :, 5, 9] += 1
    changed = (network(x, t) != network(other, t)).any(dim=1)
    assert changed[:, 4:8, 8:12].all()
    assert changed.sum() == 4 * 16


def test_positions_tell_patches_apart(rng):
    network = awake(TINY, rng)
    _, t, labels = inputs(rng)
    out = network(torch.ones(4, 1, 8, 12, dtype=torch.float64), t, labels)
    assert not torch.allclose(out[..., :4, :4], out[..., 4:, :4])
    assert not torch.allclose(out[..., :4, :4], out[..., :4, 4:8])


def test_a_patch_has_a_pixel():
    with pytest.raises(ValueError, match="patch_size is at least 1, not 0"):
        DiTConfig(patch_size=0)


def test_sides_that_are_no_multiples_are_an_error():
    with pytest.raises(ValueError, match="multiples of 4: pad 10x12 to 12x12"):
        TINY.build()(torch.zeros(1, 1, 10, 12), torch.zeros(1))


def test_the_config_is_data():
    assert decode(encode(TINY)) == TINY


def test_several_numbers_are_those_of_as_many_networks(rng):
    """Number j of the last axis is that of a network with the rows j, k + j, ... at its end."""
    k, x = 3, torch.randn(2, TINY.in_channels, 8, 12, generator=rng)
    wide, narrow = TINY.build(k).eval(), TINY.build().eval()
    with torch.no_grad():
        for parameter in wide.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=rng))
    out = wide(x, torch.tensor([0.2, 0.7]))
    assert out.shape == (2, TINY.out_channels, 8, 12, k)
    state = wide.state_dict()
    last = [n for n, v in state.items() if v.shape != narrow.state_dict()[n].shape]
    assert last
    for j in range(k):
        narrow.load_state_dict(state | {name: state[name][j::k] for name in last})
        assert_close(narrow(x, torch.tensor([0.2, 0.7])), out[..., j])


def test_the_weights_of_one_time_start_two(rng):
    check_two_times(TINY, inputs(rng), rng)


def test_a_condition_may_be_numbers(rng):
    check_numbers(TINY, inputs(rng), rng)


def test_it_is_told_things_of_any_kind_by_name(rng):
    check_conditions(TINY, inputs(rng), rng)
