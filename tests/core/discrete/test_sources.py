"""Sources of tokens: what they draw has the density they say."""

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core import random
from feller.core.config import decode, encode
from feller.core.discrete.sources import MaskedUniform, UnigramTokens
from feller.core.paths import MixturePath
from feller.core.spaces import Tokens

SOURCES = [UnigramTokens((1.0, 2.0, 5.0, 0.5)), MaskedUniform(3, uniform_probability=0.3)]
every_source = pytest.mark.parametrize("source", SOURCES, ids=["unigram", "mask+uniform"])


@every_source
def test_draws_have_the_density(source, rng):
    x = source.sample((20_000,), rng)
    law = source.log_density(torch.arange(4)).double().exp()
    assert_close(law.sum(), torch.ones(()).double(), rtol=1e-6, atol=0)
    counts = torch.bincount(x, minlength=4)
    assert stats.chisquare(counts.numpy(), (law / law.sum()).numpy() * len(x)).pvalue > 1e-3


@every_source
def test_what_is_not_drawn_has_no_density(source):
    assert source.log_density(torch.tensor([4, 9, -1])).tolist() == [-torch.inf] * 3


@every_source
def test_a_source_suits_a_path(source, rng):
    path = MixturePath(Tokens(4), source)
    z = torch.zeros(2, 3, dtype=torch.int64)
    path.space.check(path.sample(z, 0.5, rng))
    assert decode(encode(path)) == path


@every_source
def test_a_row_does_not_depend_on_its_batch(source):
    batch = source.sample((5, 7), random.rows(0, 0, 5))
    assert source.sample((2, 7), random.rows(0, 3, 5)).equal(batch[3:])


@every_source
def test_draws_are_ids_on_the_device_of_the_state(source):
    x = source.sample((2, 3), None, like=torch.zeros(1, dtype=torch.int64, device="meta"))
    assert x.device.type == "meta"
    assert x.dtype == torch.int64


@pytest.mark.parametrize("frequencies", [(), (1.0, 0.0), (1.0, -2.0), (float("inf"),)])
def test_frequencies_are_positive(frequencies):
    with pytest.raises(ValueError, match="positive and finite"):
        UnigramTokens(frequencies)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_leaves_out_neither(share):
    with pytest.raises(ValueError, match="uniform_probability is in"):
        MaskedUniform(3, share)
