"""Haar measure: angles and axes, and what every source must do."""

import math

import pytest
from scipy import stats

from feller.core.config import decode, encode
from feller.core.testing import check_source
from feller.proteins.so3.rotations import Rotations, log
from feller.proteins.so3.sources import UniformRotations


def test_it_keeps_the_contract():
    check_source(UniformRotations(), Rotations(), (2, 3, 3))


def test_angles_and_axes_are_those_of_haar_measure(rng):
    v = log(UniformRotations().sample((20_000, 3, 3), rng)).double()
    w = v.norm(dim=-1)
    assert stats.kstest((w - w.sin()).numpy() / math.pi, "uniform").pvalue > 1e-3
    for axis in (v / w[:, None]).T:
        assert stats.kstest((axis.numpy() + 1) / 2, "uniform").pvalue > 1e-3


def test_turned_draws_are_draws(rng):
    """An entry of a turned rotation has the distribution of any: uniform on [-1, 1]."""
    x = UniformRotations().sample((20_000, 3, 3), rng)
    turn = UniformRotations().sample((1, 3, 3), rng)
    for entry in ((turn @ x)[:, 0, 1], (x @ turn)[:, 2, 2]):
        assert stats.kstest((entry.double().numpy() + 1) / 2, "uniform").pvalue > 1e-3


def test_the_shape_is_that_of_rotations(rng):
    with pytest.raises(ValueError, match=r"\(..., 3, 3\), not \(2, 3\)"):
        UniformRotations().sample((2, 3), rng)


def test_the_source_is_plain_data():
    assert decode(encode(UniformRotations())) == UniformRotations()
