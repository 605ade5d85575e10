"""Networks under torch.compile, in one graph; run without the jaxtyping hook."""

import pytest
import texts
import torch
from torch.testing import assert_close

from feller.text.networks import TextTransformerConfig
from feller.text.vocabulary import Vocabulary


@pytest.mark.compile
@pytest.mark.parametrize(
    "options",
    [{"window": 3}, {"conditioned": True}, {"causal": True}],
    ids=["mask", "uniform", "causal"],
)
def test_a_compiled_network_is_the_eager_network(options, rng):
    config = TextTransformerConfig(transformer=texts.BLOCKS, **options)
    network = texts.shaken(config.build(Vocabulary(tokens=5, has_mask=True)))
    x = torch.randint(6, (2, 8), generator=rng)
    kappa = torch.tensor([0.2, 0.8])
    compiled = torch.compile(network, fullgraph=True)
    assert_close(compiled(x, kappa), network(x, kappa), atol=1e-4, rtol=1e-4)
