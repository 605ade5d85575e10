"""Lengths and angles against those a backbone was made of, and against biotite's."""

import biotite.structure as bio
import numpy as np
import pytest
from folds import backbone, chain_of, regular, wiggly

from feller.proteins.metrics.backbones import angle, backbones, dihedral, distance


def test_lengths_and_angles_are_those_of_biotite():
    a, b, c, d = np.random.default_rng(0).standard_normal((4, 200, 3))
    assert distance(a, b) == pytest.approx(bio.distance(a, b))
    assert angle(a, b, c) == pytest.approx(np.degrees(bio.angle(a, b, c)), abs=1e-3)
    assert dihedral(a, b, c, d) == pytest.approx(np.degrees(bio.dihedral(a, b, c, d)), abs=1e-3)


def test_angles_come_back():
    rng = np.random.default_rng(0)
    phi, psi, omega = rng.uniform(-180, 180, (3, 30))
    found = backbones([chain_of(backbone(phi, psi, omega))]).dihedrals()
    assert np.isnan([found[0][0], found[1][-1], found[2][-1]]).all()
    assert found[0][1:] == pytest.approx(phi[1:], abs=0.01)
    assert found[1][:-1] == pytest.approx(psi[:-1], abs=0.01)
    assert found[2][:-1] == pytest.approx(omega[:-1], abs=0.01)


def test_chains_stay_apart():
    one, two = wiggly(10, 0), wiggly(14, 1)
    both = backbones([one, two])
    parts = [np.stack(backbones([one]).dihedrals()), np.stack(backbones([two]).dihedrals())]
    assert np.allclose(np.stack(both.dihedrals()), np.concatenate(parts, 1), equal_nan=True)
    assert both.chain.tolist() == [0] * 10 + [1] * 14
    assert both.chains == 2


def test_a_number_left_out_is_no_link_and_one_twice_is():
    index = [1, 2, 2, 3, 5, 6, 4]
    assert backbones([chain_of(np.zeros((7, 4, 3)), index=index)]).linked.tolist() == [
        True,
        True,
        True,
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("steps", [0, 1, 3, 7, 8, 20])
def test_what_is_ahead(steps):
    held = backbones([chain_of(np.zeros((8, 4, 3)), index=[1, 2, 3, 4, 6, 7, 8, 9])])
    expected = [
        i + steps if i + steps < 8 and all(j != 3 for j in range(i, i + steps)) else np.nan
        for i in range(8)
    ]
    assert np.array_equal(held.ahead(np.arange(8.0), steps), expected, equal_nan=True)


def test_missing_atoms_are_nan_and_nothing_else_is():
    one = regular(12)
    one.atoms[5, 0, 1] = np.inf
    phi, psi, omega = backbones([one]).dihedrals()
    assert np.flatnonzero(np.isnan(phi)).tolist() == [0, 5]
    assert np.flatnonzero(np.isnan(psi)).tolist() == [4, 5, 11]
    assert np.flatnonzero(np.isnan(omega)).tolist() == [4, 11]


def test_fractions_count_what_is_known():
    held = backbones([regular(4), regular(3)])
    values = np.array([1.0, np.nan, 3, 4, 5, 6, np.nan])
    tally = held.fraction(values, values > 3)
    assert tally.hits.tolist() == [1, 2]
    assert tally.trials.tolist() == [3, 2]


def test_no_chains_and_empty_ones():
    with pytest.raises(ValueError, match="no chains to measure"):
        backbones([])
    empty = backbones([chain_of(np.zeros((0, 4, 3)))])
    assert len(empty.atoms) == len(empty.linked) == len(empty.dihedrals()[0]) == 0
