"""Parts of a U-Net: groups of norms, and what starts at zero."""

import pytest
import torch

from feller.images.networks.unet import UNetConfig
from feller.images.networks.unet_blocks import ResidualBlock, Resize, group_norm, zeroed


@pytest.mark.parametrize(
    ("width", "smallest", "groups"),
    [(32, 4, 8), (32, 1, 32), (96, 4, 24), (96, 1, 32), (40, 4, 10), (2, 4, 1), (64, 8, 8)],
)
def test_groups_of_a_norm(width, smallest, groups):
    norm = group_norm(width, UNetConfig(smallest_group=smallest, norm_eps=1e-6))
    assert norm.num_groups == groups
    assert norm.eps == 1e-6


def test_a_fresh_block_is_its_shortcut(rng):
    config = UNetConfig(channels=(8, 16), attention_levels=())
    x, embedding = torch.randn(2, 8, 4, 4, generator=rng), torch.randn(2, 32, generator=rng)
    assert ResidualBlock(8, 8, config)(x, embedding).equal(x)
    halved = ResidualBlock(8, 8, config, scale=0.5)(x, embedding)
    assert halved.equal(torch.nn.functional.avg_pool2d(x, 2))


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize(("scale", "side"), [(0.5, 4), (2.0, 16)])
def test_sizes_change(scale, side, asymmetric):
    config = UNetConfig(channels=(8,), attention_levels=(), asymmetric_padding=asymmetric)
    resize = Resize(8, config, scale=scale)
    assert resize(torch.zeros(1, 8, 8, 8), torch.zeros(1, 32)).shape == (1, 8, side, side)


def test_zeros():
    assert not any(p.any() for p in zeroed(torch.nn.Linear(2, 3)).parameters())
