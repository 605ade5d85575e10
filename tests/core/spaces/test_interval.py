"""Intervals: what moves out is folded back, what is inside stays, and a diffusion keeps inside."""

import math

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.generators import Diffusion
from feller.core.spaces import Interval


def test_states_are_between_the_ends():
    Interval().check(torch.tensor([-1.0, 0.3, 1.0]))
    with pytest.raises(ValueError, match=r"numbers are in \[-1\.0, 1\.0\], these -1 \.\.\. 1\.5"):
        Interval().check(torch.tensor([-1.0, 1.5]))
    with pytest.raises(ValueError, match="numbers are in"):
        Interval().check(torch.tensor([math.nan]))
    with pytest.raises(ValueError, match="floating point"):
        Interval().check(torch.tensor([0]))
    with pytest.raises(ValueError, match=r"low is below high, not 1\.0 and 0\.0"):
        Interval(1.0, 0.0)


@pytest.mark.parametrize("space", [Interval(), Interval(0.0, 0.3), Interval(-2.0, 5.0)])
def test_reflections_are_undone_one_by_one(space, rng):
    x = 20 * torch.randn(1000, generator=rng, dtype=torch.float64)
    slow = x.clone()
    for _ in range(2000):  # one mirror at a time, until all are inside
        slow = torch.where(slow > space.high, 2 * space.high - slow, slow)
        slow = torch.where(slow < space.low, 2 * space.low - slow, slow)
    assert_close(space.reflect(x), slow, atol=1e-9, rtol=0)
    space.check(space.reflect(x))


def test_what_is_inside_stays_to_the_last_digit(rng):
    space = Interval(-0.3, 1.7)
    x = -0.3 + 2 * torch.rand(10_000, generator=rng)
    x = x.clamp(-0.3, 1.7)
    assert torch.equal(space.reflect(x), x)
    far = space.reflect(100 * torch.randn(10_000, generator=rng))
    space.check(far)


def test_a_diffusion_is_reflected(rng):
    """The density of reflected Brownian motion from an end: a folded normal, folded again."""
    space, h = Interval(0.0, 1.0), 0.3
    x = torch.zeros(20_000, 1)
    moved = Diffusion(torch.zeros_like(x), torch.ones_like(x)).step(space, x, h, rng)
    space.check(moved)

    def law(y):
        images = (
            stats.norm.cdf((y + 2 * k) / h**0.5) - stats.norm.cdf((-y + 2 * k) / h**0.5)
            for k in range(-5, 6)
        )
        return sum(images)

    assert stats.kstest(moved.flatten().numpy(), law).pvalue > 1e-3
