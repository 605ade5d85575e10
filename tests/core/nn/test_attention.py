"""Self-attention against its explicit formula."""

import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.testing import assert_close

from feller.core.nn.attention import SelfAttention
from feller.core.nn.embeddings import rotate

OPTIONS = [
    {},
    {"qk_norm": True},
    {"rotary": True},
    {"qk_norm": True, "rotary": True},
]


def tokens(rng, b=2, n=5, d=12):
    return torch.randn(b, n, d, generator=rng, dtype=torch.float64)


def explicit(attention, x, *, qk_norm=False, rotary=False):
    b, n, d = x.shape
    heads = [p.reshape(b, n, 3, d // 3).transpose(1, 2) for p in attention.qkv(x).chunk(3, -1)]
    q, k, v = heads
    if qk_norm:
        q, k = (y / (y.square().mean(-1, keepdim=True) + 1e-6).sqrt() for y in (q, k))
    if rotary:
        q, k = (rotate(y, torch.arange(n, dtype=y.dtype)) for y in (q, k))
    weights = torch.softmax(q @ k.mT / math.sqrt(d // 3), dim=-1)
    return attention.out((weights @ v).transpose(1, 2).reshape(b, n, d))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_attention_is_its_formula(options, rng):
    attention = SelfAttention(12, num_heads=3, **options).double()
    x = tokens(rng)
    assert_close(attention(x), explicit(attention, x, **options))


def test_the_order_of_tokens_does_not_matter_without_positions(rng):
    attention = SelfAttention(12, num_heads=3).double()
    x, order = tokens(rng), torch.randperm(5, generator=rng)
    assert_close(attention(x)[:, order], attention(x[:, order]))


def test_the_order_of_tokens_matters_with_rotary_positions(rng):
    attention = SelfAttention(12, num_heads=3, rotary=True).double()
    x = tokens(rng)
    assert not torch.allclose(attention(x).flip(1), attention(x.flip(1)))


def test_tokens_that_are_not_seen_do_not_matter(rng):
    attention = SelfAttention(12, num_heads=3).double()
    x = tokens(rng)
    mask = torch.tensor([True, True, True, False, False]).expand(2, 5)
    assert_close(attention(x, mask)[:, :3], attention(x[:, :3]))


def test_gradient_reaches_every_parameter(rng):
    attention = SelfAttention(12, num_heads=3, qk_norm=True, rotary=True).double()
    attention(tokens(rng)).square().sum().backward()
    assert all(p.grad.count_nonzero() for p in attention.parameters())


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is ")  # torch.func.jvp uses it
def test_forward_derivatives_are_those_of_the_unfused_kernel(rng):
    attention = SelfAttention(12, num_heads=3, qk_norm=True, rotary=True).double()
    x, v = tokens(rng), tokens(rng)
    with sdpa_kernel(SDPBackend.MATH):
        _, forward = torch.func.jvp(attention, (x,), (v,))
    assert_close(forward, (attention(x + 1e-6 * v) - attention(x - 1e-6 * v)) / 2e-6)


def test_heads_share_channels_equally():
    with pytest.raises(ValueError, match="5 heads cannot share 12 channels"):
        SelfAttention(12, num_heads=5)
