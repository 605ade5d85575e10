"""Measurements are linear, and what they see is what they say."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.measurements import AveragePool, Blur, ChannelMean, Pixels

KNOWN = torch.arange(48).view(3, 4, 4) % 2 == 0


@pytest.mark.parametrize("measure", [Pixels(KNOWN), ChannelMean(3), AveragePool(2), Blur(1.0)])
def test_they_are_linear(measure, rng):
    a, b = torch.randn(2, 5, 3, 4, 4, generator=rng, dtype=torch.float64)
    assert_close(measure(a + 2 * b), measure(a) + 2 * measure(b))


def test_a_blur_spreads_a_point():
    point = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    point[..., 16, 16] = 1
    seen = Blur(2.0)(point)[0, 0]
    place = torch.arange(32, dtype=torch.float64) - 16
    assert_close(seen.sum(), torch.ones((), dtype=torch.float64))
    assert_close((seen.sum(0) * place**2).sum(), torch.tensor(4.0, dtype=torch.float64))
