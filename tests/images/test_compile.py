"""Networks under torch.compile, in one graph; run without the jaxtyping hook."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.nn.transformer import TransformerConfig
from feller.images.networks.dit import DiTConfig
from feller.images.networks.unet import UNetConfig

UNET = UNetConfig(
    in_channels=1, out_channels=1, channels=(8, 16), blocks_per_level=1, num_classes=3, patch_size=2
)
DIT = DiTConfig(
    in_channels=1,
    out_channels=1,
    patch_size=4,
    transformer=TransformerConfig(dim=16, depth=1, num_heads=2),
    num_classes=3,
)


@pytest.mark.compile
@pytest.mark.parametrize("config", [UNET, DIT], ids=["unet", "dit"])
def test_a_compiled_network_is_the_eager_network(config, rng):
    network = config.build()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=rng)
    x = torch.randn(4, 1, 8, 8, generator=rng)
    t = torch.rand(4, generator=rng)
    labels = torch.arange(4)
    compiled = torch.compile(network, fullgraph=True)
    assert_close(compiled(x, t, labels), network(x, t, labels), atol=1e-5, rtol=1e-5)
