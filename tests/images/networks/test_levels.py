"""Grey levels as tokens: what a network of numbers sees of them."""

import torch
from torch.testing import assert_close

from feller.images.networks import DiTConfig, OfLevels, UNet, UNetConfig, build_network


def test_levels_and_masks_are_told_apart():
    seen = OfLevels(lambda x, t, condition: x, 5)
    x = torch.arange(6).view(1, 2, 3, 1)
    out = seen(x, 0.5)
    assert out.shape == (1, 4, 3, 1)
    assert_close(out[0, :2].flatten(), torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0, 0.0]))
    assert out[0, 2:].flatten().tolist() == [0, 0, 0, 0, 0, 1]


def test_a_network_of_levels_reads_two_numbers_a_channel():
    config = UNetConfig(in_channels=1, out_channels=1, channels=(4,), attention_levels=())
    assert isinstance(build_network(config, 0, 1), UNet)
    network = build_network(config, 16, 16)
    out = network(torch.full((2, 1, 4, 4), 16), torch.rand(2))
    assert out.shape == (2, 1, 4, 4, 16)
    patches = build_network(DiTConfig(in_channels=3, out_channels=3), 2, 2)
    assert patches(torch.zeros(1, 3, 4, 4, dtype=torch.int64), torch.rand(1)).shape[-1] == 2
