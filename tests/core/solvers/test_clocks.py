"""Grids of times: floats where one clock serves all, and what is no grid (see also `test_base`)."""

import pytest
import torch

from feller.core.solvers.clocks import clocks_of


def test_one_clock_is_floats_that_rise_or_fall():
    assert clocks_of([0.0, 0.5, 1.0]) == [0.0, 0.5, 1.0]
    assert clocks_of(torch.tensor([1.0, 0.5])) == [1.0, 0.5]


def test_clocks_of_factors_are_dicts_of_one_length():
    first, second = clocks_of({"a": [0.0, 1.0], "b": torch.tensor([0.5, 0.5])})
    assert (float(first["a"]), float(second["a"]), float(second["b"])) == (0.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="the grids of all factors have one length"):
        clocks_of({"a": [0.0, 1.0], "b": [0.0, 0.5, 1.0]})


def test_clocks_of_samples_only_rise():
    with pytest.raises(ValueError, match="rise from step to step"):
        clocks_of(torch.tensor([[0.5, 0.5], [0.4, 0.6]]))
