"""Losses by time: each row counts once, in the interval of its own time."""

import pytest
import torch

from feller.core.training.by_time import BINS, LossByTime, bin_names


def test_means_are_those_of_the_rows_in_each_interval(rng):
    t, a, b = torch.rand(3, 500, generator=rng)
    seen = LossByTime()
    for part in torch.arange(500).split(123):
        seen.add(t[part], [a[part], b[part]])
    found = seen.means(lambda sums: sums)
    for k, name in enumerate(bin_names()):
        inside = (t >= k / BINS) & (t < (k + 1) / BINS)
        assert found[name] == pytest.approx(float((a + b)[inside].mean()), rel=1e-5)
    assert seen.means(lambda sums: sums) == {}


def test_the_ends_of_time_have_an_interval_and_what_is_not_finite_has_none():
    seen = LossByTime()
    seen.add(torch.tensor([0.0, 1.0, 0.5, 0.5]), [torch.tensor([1.0, 2.0, torch.inf, torch.nan])])
    assert seen.means(lambda sums: sums) == {"t 0.0-0.2": 1.0, "t 0.8-1.0": 2.0}


def test_processes_add_up():
    seen = LossByTime()
    seen.add(torch.tensor([0.1]), [torch.tensor([4.0])])
    other = torch.zeros(2, BINS)
    other[0, 0], other[1, 0] = 2.0, 2.0  # two rows of loss 1
    assert seen.means(lambda sums: sums + other) == {"t 0.0-0.2": 2.0}
