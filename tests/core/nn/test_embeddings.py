"""Embeddings against their formulas."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.nn.embeddings import (
    LabelEmbedding,
    StepEmbedding,
    TimeEmbedding,
    grid_positions,
    rotate,
    sinusoids,
)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_sinusoids_are_their_formula(shift):
    tau = torch.tensor([0.0, 0.3, 7.0], dtype=torch.float64)
    found = sinusoids(tau, 6, frequency_shift=shift)
    for row, x in zip(found.tolist(), tau.tolist(), strict=True):
        angles = [x * 10_000 ** (-i / (3 - shift)) for i in range(3)]
        expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        assert row == pytest.approx(expected, abs=1e-12)


def test_sinusoids_come_in_pairs():
    with pytest.raises(ValueError, match="even, not 5"):
        sinusoids(torch.zeros(1), 5)


def test_a_time_per_token_is_embedded_as_a_time_per_sample():
    embed = TimeEmbedding(8, 16)
    t = torch.rand(3)
    assert_close(embed(t[:, None].expand(3, 5)), embed(t)[:, None].expand(3, 5, 16))


def test_scale_and_offset_show_steps_of_growing_noise():
    ours = TimeEmbedding(8, 16, time_scale=-999.0, time_offset=999.0).double()
    steps = TimeEmbedding(8, 16, time_scale=1.0).double()
    steps.load_state_dict(ours.state_dict())
    k = torch.tensor([0, 17, 999], dtype=torch.float64)
    assert_close(ours(1 - k / 999), steps(k))


def test_times_of_a_full_precision_clock_enter_a_half_precision_network():
    embed = TimeEmbedding(8, 16).bfloat16()
    assert embed(torch.rand(3)).dtype == torch.bfloat16


def test_no_condition_is_the_null_class():
    embed = LabelEmbedding(10, 4)
    assert torch.equal(embed(None, batch=3), embed(torch.full((3,), 10), batch=3))
    with pytest.raises(IndexError):
        embed(torch.tensor([11]), batch=1)


def test_grid_positions_tell_columns_then_rows():
    grid = grid_positions(3, 5, 8, like=torch.empty(0)).reshape(3, 5, 8)
    columns, rows = sinusoids(torch.arange(5.0), 4), sinusoids(torch.arange(3.0), 4)
    for h in range(3):
        for w in range(5):
            assert torch.equal(grid[h, w], torch.cat([columns[w], rows[h]]))
    assert len(grid.flatten(0, 1).unique(dim=0)) == 15


def test_grid_positions_need_four_channels_at_a_time():
    with pytest.raises(ValueError, match="multiple of 4, not 6"):
        grid_positions(2, 2, 6, like=torch.empty(0))


def test_rotated_products_depend_on_relative_positions_only(rng):
    q, k = torch.randn(2, 1, 2, 7, 8, generator=rng, dtype=torch.float64)
    places = torch.arange(7, dtype=torch.float64)

    def products(shift):
        return rotate(q, places + shift) @ rotate(k, places + shift).mT

    assert_close(products(0.0), products(123.0))
    assert not torch.allclose(products(0.0), q @ k.mT)


def test_rotation_keeps_lengths(rng):
    x = torch.randn(2, 3, 5, 8, generator=rng, dtype=torch.float64)
    assert_close(rotate(x, torch.arange(5, dtype=torch.float64)).norm(dim=-1), x.norm(dim=-1))


def test_a_step_of_no_length_is_the_same_at_every_time(rng):
    embed, t = StepEmbedding(8, 4), torch.rand(5, generator=rng)
    assert not embed(t, t + 0.1).any()  # fresh weights add nothing
    torch.nn.init.normal_(embed.embed.out.weight, generator=rng)
    still = embed(t, None)
    assert torch.equal(still, embed(t, t))
    assert_close(still, still[:1].expand(5, 4))
    assert not torch.allclose(embed(t, t + 0.1), still)
