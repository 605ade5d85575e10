"""JiT: sizes, labels and a fresh start. Its function is held in `tests/images/importing`."""

import pytest
import torch

from feller.images.networks import JiTConfig

SMALL = {"dim": 32, "depth": 2, "num_heads": 2, "patch_size": 4, "context": 2, "context_start": 1}


def test_a_fresh_one_returns_zeros_and_learns_of_labels(rng):
    network = JiTConfig(**SMALL, num_classes=3, bottleneck=5).build()
    x, t = torch.randn(2, 3, 8, 12, generator=rng), torch.rand(2, generator=rng)
    assert not network(x, t).any()
    torch.nn.init.normal_(network.head.weight)
    torch.nn.init.normal_(network.blocks[1].modulation.weight)
    found = [network(x, t, torch.full((2,), label)) for label in (0, 1, 3)]
    assert not torch.equal(found[0], found[1]) and torch.equal(found[2], network(x, t))


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 heads cannot share 32 channels in fours"):
        JiTConfig(**SMALL | {"num_heads": 3})
    with pytest.raises(ValueError, match="height and width must be multiples of 4"):
        JiTConfig(**SMALL).build()(torch.zeros(1, 3, 6, 8), torch.zeros(1))
