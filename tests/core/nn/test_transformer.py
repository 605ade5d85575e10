"""The transformer: nothing at first, then what its formula says."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.nn.transformer import Transformer, TransformerBlock, TransformerConfig

PLAIN = TransformerConfig(dim=12, depth=2, num_heads=3)
FULL = TransformerConfig(dim=12, depth=2, num_heads=3, mlp_ratio=2.0, qk_norm=True, rotary=True)


def awake(network, rng):
    """The network, in double precision, with no weight left at zero."""
    for parameter in network.double().parameters():
        noise = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
        parameter.data += 0.1 * noise
    return network


def inputs(rng, b=2, n=5, d=12):
    x = torch.randn(b, n, d, generator=rng, dtype=torch.float64)
    return x, torch.randn(b, d, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("config", [PLAIN, FULL], ids=["plain", "full"])
def test_a_fresh_block_is_the_identity_and_a_fresh_transformer_zero(config, rng):
    x, embedding = inputs(rng)
    assert torch.equal(TransformerBlock(config).double()(x, embedding), x)
    assert not Transformer(config, 7).double()(x, embedding).any()


def test_a_block_is_its_formula(rng):
    block = awake(TransformerBlock(PLAIN), rng)
    x, embedding = inputs(rng)
    vectors = block.modulation.linear(torch.nn.functional.silu(embedding))[:, None]
    shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = vectors.chunk(6, dim=-1)

    def norm(y):
        return (y - y.mean(-1, keepdim=True)) / (
            y.var(-1, correction=0, keepdim=True) + 1e-6
        ).sqrt()

    expected = x + gate * block.attend((1 + scale) * norm(x) + shift)
    expected = expected + gate_mlp * block.mlp((1 + scale_mlp) * norm(expected) + shift_mlp)
    assert_close(block(x, embedding), expected)


@pytest.mark.parametrize("config", [PLAIN, FULL], ids=["plain", "full"])
def test_an_embedding_per_token_is_one_per_sample_when_constant(config, rng):
    network = awake(Transformer(config, 7), rng)
    x, embedding = inputs(rng)
    per_token = embedding[:, None].expand_as(x)
    assert_close(network(x, per_token), network(x, embedding))


def test_an_embedding_per_token_acts_on_its_token(rng):
    network = awake(Transformer(TransformerConfig(dim=12, depth=0, num_heads=3), 7), rng)
    x, embedding = inputs(rng)
    per_token = embedding[:, None].repeat(1, 5, 1)
    before = network(x, per_token)
    per_token[:, 2] += 1
    changed = (network(x, per_token) != before).any(dim=-1)
    assert changed.tolist() == [[False, False, True, False, False]] * 2


def test_tokens_that_are_not_seen_do_not_matter(rng):
    network = awake(Transformer(PLAIN, 7), rng)
    x, embedding = inputs(rng)
    mask = torch.tensor([True, True, True, False, False]).expand(2, 5)
    assert_close(network(x, embedding, mask)[:, :3], network(x[:, :3], embedding))


def test_gradient_reaches_every_parameter(rng):
    network = awake(Transformer(FULL, 7), rng)
    network(*inputs(rng)).square().sum().backward()
    assert all(p.grad.count_nonzero() for p in network.parameters())


def test_dropout_acts_in_training_only(rng):
    config = TransformerConfig(dim=12, depth=2, num_heads=3, dropout=0.5)
    network = awake(Transformer(config, 7), rng)
    x, embedding = inputs(rng)
    assert not torch.equal(network(x, embedding), network(x, embedding))
    network.eval()
    assert torch.equal(network(x, embedding), network(x, embedding))


def test_there_is_a_head():
    with pytest.raises(ValueError, match="num_heads is at least 1, not 0"):
        TransformerConfig(dim=8, depth=1, num_heads=0)


def test_the_config_is_data():
    assert decode(encode(FULL)) == FULL
