"""Grids of times against their formulas."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.grids import logarithmic_grid, power_grid, shifted_grid, uniform_grid


def test_uniform_grid():
    assert_close(uniform_grid(3, start=0.1, end=0.7), torch.tensor([0.1, 0.3, 0.5, 0.7]))


def test_shifted_grid():
    assert_close(shifted_grid(4, 1.0), uniform_grid(4))
    assert_close(shifted_grid(2, 3.0), torch.tensor([0.0, 0.25, 1.0]))


def test_logarithmic_grid_shrinks_the_noise_by_one_factor():
    noise = 1 - logarithmic_grid(5, end=0.99)
    assert_close(noise[1:] / noise[:-1], torch.full((5,), 0.01 ** (1 / 5)), rtol=1e-5, atol=0)
    assert_close(noise[[0, -1]], torch.tensor([1.0, 0.01]))


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (lambda: uniform_grid(0), "at least one step"),
        (lambda: shifted_grid(0, 1.0), "at least one step"),
        (lambda: logarithmic_grid(-1), "at least one step"),
        (lambda: uniform_grid(2, start=0.5, end=0.5), "0 <= start < end <= 1"),
        (lambda: uniform_grid(2, end=1.5), "0 <= start < end <= 1"),
        (lambda: uniform_grid(2, start=-0.1), "0 <= start < end <= 1"),
        (lambda: shifted_grid(2, 0.0), "shift is positive"),
        (lambda: logarithmic_grid(2, end=1.0), "end is between 0 and 1"),
    ],
)
def test_a_grid_says_what_is_wrong(grid, message):
    with pytest.raises(ValueError, match=message):
        grid()


def test_a_power_grid_shrinks_what_is_left_by_a_power():
    grid = power_grid(10, 3.0)
    torch.testing.assert_close((1 - grid) ** (1 / 3), 1 - uniform_grid(10), rtol=0, atol=3e-3)
    assert power_grid(7, 1.0).equal(uniform_grid(7))
    with pytest.raises(ValueError, match="power is positive, not 0"):
        power_grid(3, 0.0)


@pytest.mark.parametrize(
    "grid",
    [
        lambda: logarithmic_grid(40, end=1 - 1e-9),
        lambda: logarithmic_grid(10, end=1 - 1e-8),
        lambda: uniform_grid(200, end=1 - 1e-9),
    ],
)
def test_times_that_single_precision_cannot_tell_apart_are_refused(grid):
    with pytest.raises(ValueError, match="are not apart in single precision: take fewer"):
        grid()
