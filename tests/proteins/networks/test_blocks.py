"""The pieces between features and the network: clocks, chains, pairs, blocks."""

import torch
from torch.testing import assert_close

from feller.proteins.networks.blocks import (
    FACTORS,
    ChainEmbedding,
    ClockEmbedding,
    EndEmbedding,
    FrameBlock,
    Modulated,
    PairBias,
)
from feller.proteins.networks.features import GEOMETRY


def test_expanded_clocks_are_embedded_once(rng):
    embed = ClockEmbedding(16)
    one = {name: torch.rand(2, 1, generator=rng) for name in FACTORS}
    shared = embed({name: t.expand(2, 5) for name, t in one.items()})
    copied = embed({name: t.repeat(1, 5) for name, t in one.items()})
    assert shared.shape == (2, 1, 16)
    assert copied.shape == (2, 5, 16)
    assert_close(shared.expand(2, 5, 16), copied)
    mixed = embed({n: t.expand(2, 5) if n == "residue" else t.repeat(1, 5) for n, t in one.items()})
    assert_close(mixed, copied)


def test_every_clock_is_seen_and_nearly_known_is_not_known():
    embed = ClockEmbedding(16)
    early = {name: torch.full((1, 2), 0.3) for name in FACTORS}
    before = embed(early)
    for name in FACTORS:
        assert (embed(early | {name: torch.full((1, 2), 0.6)}) - before).abs().amax() > 1e-3
        late = torch.tensor([[1.0, 1 - 1e-6]])
        known, almost = embed(early | {name: late})[0]
        assert (known - almost).abs().amax() > 1e-3


def test_both_ends_are_known_up_to_64_whatever_the_numbers():
    embed = EndEmbedding(8)
    assert not embed(torch.arange(5)[None]).any()  # fresh
    torch.nn.init.normal_(embed.first.weight)
    torch.nn.init.normal_(embed.last.weight)
    index = torch.arange(200)[None]
    seen = embed(index)[0]
    assert_close(embed(index + 17)[0], seen)
    assert_close(seen[5], embed.first.weight[5] + embed.last.weight[64])
    assert_close(seen[-3], embed.first.weight[64] + embed.last.weight[2])
    assert_close(seen[64:136], seen[64:65].expand(72, 8))  # far from both: as in any longer chain
    gap = embed(torch.tensor([[3, 4, 9]]))[0]
    assert_close(gap[1], embed.first.weight[1] + embed.last.weight[5])


def test_a_chain_is_seen_along_its_index_and_through_an_earlier_estimate(rng):
    embed = ChainEmbedding(8, self_conditioning=True)
    index = torch.tensor([[1, 2, 3, 9]])
    place = torch.randn(1, 4, 3, generator=rng)
    first, later = embed(index, None), embed(index, place)
    assert first.shape == (1, 4, 4, 8)
    assert_close(first[0, 0, 1], first[0, 1, 2])
    assert not torch.allclose(first[0, 1, 2], first[0, 2, 3])
    assert not torch.allclose(first, later)
    assert_close(later, later.transpose(1, 2) - first.transpose(1, 2) + first)


def test_an_index_that_all_samples_share_is_embedded_once(rng):
    embed = ChainEmbedding(8, self_conditioning=True)
    shared, place = torch.arange(4).expand(3, 4), torch.randn(3, 4, 3, generator=rng)
    assert embed(shared, None).shape == (1, 4, 4, 8)
    assert embed(shared.clone(), None).equal(embed(shared, None).expand(3, 4, 4, 8))
    assert embed(shared.clone(), place).equal(embed(shared, place))


def test_no_earlier_estimate_is_not_a_number(rng):
    embed = ChainEmbedding(8, self_conditioning=True)
    index = torch.arange(4).expand(3, 4)
    place = torch.randn(3, 4, 3, generator=rng)
    full, none = embed(index, place), embed(index, None).expand(3, 4, 4, 8)
    place[1], place[2, 0, 0] = torch.nan, torch.nan
    some = embed(index, place)
    assert_close(some[0], full[0])
    assert_close(some[1], none[1])
    assert_close(some[2, 1:, 1:], full[2, 1:, 1:])
    assert_close(some[2, 0], none[2, 0])
    some.square().sum().backward()
    assert embed.earlier.weight.grad.isfinite().all()


def test_pairs_bias_and_are_averaged(rng):
    pairs = PairBias(16, 8, biases=6)
    x = torch.randn(2, 5, 16, generator=rng)
    chain = torch.randn(2, 5, 5, 8, generator=rng)
    seen = torch.randn(2, 5, 5, GEOMETRY, generator=rng)
    biases, taken = pairs(x, chain, seen)
    mine, other = pairs.ends(x).chunk(2, -1)
    b, i, j = 1, 2, 4
    pair = pairs.see.weight @ seen[b, i].mT + chain[b, i].mT + mine[b, i][:, None] + other[b].mT
    pair = torch.nn.functional.silu(pair)
    logits = pairs.weigh.weight @ pair + pairs.weigh.bias[:, None]
    assert_close(biases[b, :, i, j], logits[:6, j])
    expected = pairs.take((logits[6:].softmax(-1) @ pair.mT).flatten())
    assert_close(taken[b, i], expected)


def test_a_fresh_norm_is_plain_and_its_gates_are_closed(rng):
    x = 3 + 2 * torch.randn(2, 5, 16, generator=rng)
    normed, gate = Modulated(16, 1)(x, torch.randn(2, 1, 16, generator=rng))
    assert_close(normed.mean(-1), torch.zeros(2, 5), rtol=0, atol=1e-6)
    assert_close(normed.var(-1, correction=0), torch.ones(2, 5))
    assert gate.eq(0).all()


def test_a_fresh_block_is_the_identity_and_each_residue_has_its_clock(rng):
    block = FrameBlock(16, 4, points=0, dropout=0.0)
    x, place = torch.randn(1, 3, 16, generator=rng), torch.randn(1, 3, 3, generator=rng)
    bias, eye = torch.zeros(1, 4, 3, 3), torch.eye(3).expand(1, 3, 3, 3)
    embedding = torch.randn(1, 3, 16, generator=rng)
    assert block(x, embedding, bias, place, eye).equal(x)
    torch.nn.init.normal_(block.norm_mlp.linear.weight, std=0.1, generator=rng)
    other = embedding.clone()
    other[:, 1] += 1
    moved = block(x, embedding, bias, place, eye) - block(x, other, bias, place, eye)
    assert moved[0, 1].abs().max() > 1e-3
    assert moved[0, ::2].eq(0).all()


def test_numbers_that_fall_have_an_end_too():
    assert EndEmbedding(8)(torch.tensor([[5, 9, 1]])).shape == (1, 3, 8)
