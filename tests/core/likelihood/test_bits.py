"""Bits per dimension against laws of bytes whose entropy is known."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core import random
from feller.core.likelihood import BYTES, bits_per_dimension, dequantize


def every_byte(times):
    return torch.arange(256).repeat(times).to(torch.uint8)[:, None]


def test_bytes_that_are_all_alike_take_eight_bits(rng):
    raw = every_byte(4).expand(-1, 3)
    x = dequantize(raw, rng)
    low, high = -1 - 0.5 / BYTES, 1 + 0.5 / BYTES
    assert low <= float(x.min()) < low + 0.01
    assert high - 0.01 < float(x.max()) <= high
    nats = torch.full((len(x),), -3 * math.log(high - low))
    assert_close(bits_per_dimension(nats, 3, scale=BYTES), torch.full((len(x),), 8.0))


def test_a_density_that_is_constant_in_each_cell_gives_the_entropy(rng):
    masses = torch.rand(256, generator=rng, dtype=torch.float64).softmax(0)
    raw = torch.multinomial(masses, 20_000, replacement=True, generator=rng)[:, None]
    x = dequantize(raw.to(torch.uint8), rng)
    place = (x.double() + 1) * BYTES
    assert bool(((place - raw).abs() < 0.5 + 1e-4).all())  # noise does not leave the cell
    cell = place.round().clamp(0, 255).long()
    density = masses[cell[:, 0]] * BYTES  # the cell is 1 / 127.5 wide
    bits = bits_per_dimension(density.log(), 1, scale=BYTES)
    entropy = -(masses * masses.log2()).sum()
    assert abs(float(bits.mean() - entropy)) < 4 * float(bits.std()) / 20_000**0.5


def test_any_other_density_takes_more(rng):
    # A normal on a byte that is always 100: more than the 0 bits it is worth, for every width.
    x = dequantize(torch.full((20_000, 1), 100, dtype=torch.uint8), rng)
    for std in (0.001, 0.002, 0.01):
        law = torch.distributions.Normal(100 / BYTES - 1, std)
        assert float(bits_per_dimension(law.log_prob(x[:, 0]), 1, scale=BYTES).mean()) > 0.05


def test_log_probabilities_need_no_scale():
    assert_close(bits_per_dimension(torch.tensor([-8 * math.log(2)]), 4), torch.tensor([2.0]))


def test_a_row_has_its_own_noise():
    raw = torch.zeros(3, 2, 4, dtype=torch.uint8)
    one, all_ = dequantize(raw[:1], random.rows(0, 1, 2)), dequantize(raw, random.rows(0, 0, 3))
    assert_close(one[0], all_[1])


@pytest.mark.parametrize(("dimensions", "scale"), [(0, 1.0), (3, 0.0)])
def test_nonsense_is_refused(dimensions, scale):
    with pytest.raises(ValueError, match="dimensions >= 1 and scale > 0"):
        bits_per_dimension(torch.zeros(1), dimensions, scale=scale)
