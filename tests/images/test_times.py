"""Times of pixels in training: some are known, as often as asked for."""

import pytest
import torch

from feller.core import random
from feller.core.config import decode, encode
from feller.core.times import Uniform
from feller.images.times import KnownPixels

Z = torch.zeros(600, 3, 12, 8)


def test_the_fraction_of_samples_with_known_pixels_and_their_times():
    times = KnownPixels(base=Uniform(), fraction=0.6)
    u = torch.linspace(0.01, 0.9, 600)
    t = times.draw(u, torch.Generator().manual_seed(0), Z)
    assert t.shape == (600, 1, 12, 8)
    known = (t == 1).flatten(1)
    assert 0.53 < known.any(1).float().mean() < 0.67
    moving = t.flatten(1).masked_fill(known, 0).amax(1)
    whole = known.all(1)
    assert moving[~whole].equal(u[~whole])
    assert whole.float().mean() < 0.05
    some = known[known.any(1)].float().mean(1)
    assert some.min() < 0.1 and some.max() > 0.9


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_none_or_all(fraction):
    t = KnownPixels(fraction=fraction).draw(torch.full((600,), 0.5), None, Z)
    assert (t == 1).flatten(1).any(1).float().mean() == pytest.approx(fraction, abs=0.02)


def test_each_row_depends_on_itself():
    u = torch.rand(6)
    whole = KnownPixels().draw(u, random.rows(0, 0, 6, stream="a"), Z[:6])
    part = KnownPixels().draw(u[4:], random.rows(0, 4, 6, stream="a"), Z[:2])
    assert whole[4:].equal(part)


def test_it_is_kept_and_checked():
    assert decode(encode(KnownPixels(fraction=0.3))) == KnownPixels(fraction=0.3)
    with pytest.raises(ValueError, match="fraction is from 0 to 1, not 2"):
        KnownPixels(fraction=2.0)
