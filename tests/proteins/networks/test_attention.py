"""Attention with points, written as inner products, against the formula pair by pair."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from feller.proteins.networks.attention import FrameAttention
from feller.proteins.so3.rotations import exp

B, N, DIM, HEADS = 2, 6, 16, 4


def inputs(rng, dtype=torch.float64):
    place = torch.randn(B, N, 3, generator=rng, dtype=dtype)
    rotation = exp(2 * torch.randn(B, N, 3, generator=rng, dtype=dtype))
    x = torch.randn(B, N, DIM, generator=rng, dtype=dtype)
    bias = torch.randn(B, HEADS, N, N, generator=rng, dtype=dtype)
    return x, bias, place, rotation


def attention(points, dtype=torch.float64):
    torch.manual_seed(0)
    attend = FrameAttention(DIM, HEADS, points).to(dtype)
    if points:
        with torch.no_grad():
            attend.weight.copy_(torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    return attend


def plain(attend, x, bias, place, rotation):
    """Algorithm 22 of the AlphaFold supplement, by broadcasting, with one set of pair biases."""
    p, c = attend.points, DIM // HEADS
    q, k, v = attend.qkv(x).view(B, N, 3, HEADS, c).unbind(2)
    logits = torch.einsum("bihc,bjhc->bhij", q, k) / math.sqrt(c) + bias
    if not p:
        return attend.out(torch.einsum("bhij,bjhc->bihc", logits.softmax(-1), v).flatten(2))
    local = attend.place(x).view(B, N, 3, HEADS, p, 3)
    world = torch.einsum("bnxy,bnkhpy->bnkhpx", rotation, local)
    q_at, k_at, v_at = (world + place[:, :, None, None, None]).unbind(2)
    squares = (q_at[:, :, None] - k_at[:, None]).square().sum((-1, -2))
    weight = F.softplus(attend.weight) * math.sqrt(2 / (9 * p))
    logits = logits - (weight / 2 * squares).permute(0, 3, 1, 2)
    look = logits.softmax(-1)
    values = torch.einsum("bhij,bjhc->bihc", look, v).flatten(2)
    at = torch.einsum("bhij,bjhpx->bihpx", look, v_at) - place[:, :, None, None]
    at = torch.einsum("bnxy,bnhpx->bnhpy", rotation, at)
    far = (at.square().sum(-1) + 1e-6).sqrt()
    return attend.out(torch.cat([values, at.flatten(2), far.flatten(2)], -1))


@pytest.mark.parametrize("points", [0, 1, 4])
def test_attention_is_the_plain_formula(points, rng):
    attend, given = attention(points), inputs(rng)
    assert_close(attend(*given), plain(attend, *given), rtol=0, atol=1e-12)


@pytest.mark.parametrize("points", [0, 4])
def test_single_precision_is_enough(points, rng):
    x, bias, place, rotation = inputs(rng, torch.float32)
    attend = attention(points, torch.float32)
    single = attend(x, bias, 3 * place, rotation)
    given = x.double(), bias.double(), 3 * place.double(), rotation.double()
    double = attention(points)(*given)
    assert_close(single.double(), double, rtol=0, atol=1e-4)


def test_no_motion_of_the_world_changes_it(rng):
    x, bias, place, rotation = inputs(rng)
    attend = attention(4)
    turn = exp(torch.randn(3, generator=rng, dtype=torch.float64))
    shift = torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64)
    moved = attend(x, bias, place @ turn.T + shift, turn @ rotation)
    assert_close(moved, attend(x, bias, place, rotation), rtol=0, atol=1e-12)


def test_points_see_the_frames(rng):
    x, bias, place, rotation = inputs(rng)
    attend = attention(2)
    before = attend(x, bias, place, rotation)
    assert not torch.allclose(before, attend(x, bias, 1.1 * place, rotation), atol=1e-3)
    assert not torch.allclose(before, attend(x, bias, place, rotation.mT), atol=1e-3)


def test_slopes_are_finite_where_points_coincide(rng):
    x, bias, place, rotation = inputs(rng, torch.float32)
    attend = attention(2, torch.float32)
    with torch.no_grad():
        attend.place.weight.zero_()
        attend.place.bias.zero_()
    place = torch.zeros_like(place).requires_grad_()
    attend(x, bias, place, rotation).square().sum().backward()
    assert place.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in attend.parameters())


def test_heads_share_the_channels_equally():
    with pytest.raises(ValueError, match="3 heads cannot share 16 channels equally"):
        FrameAttention(16, 3)
