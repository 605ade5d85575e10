"""Bonds, angles, hands and clashes of backbones whose own are known."""

import math

import numpy as np
import pytest
from folds import ANGLES, LENGTHS, STRAND, backbone, chain_of, mirrored, place, regular, wiggly

from feller.proteins.metrics.geometry import (
    NATIVE,
    bond_validity,
    ca_validity,
    clashes,
    missing_atoms,
    outside_native,
    right_handed,
    trans,
)

N = 20


@pytest.mark.parametrize(
    ("length", "share"), [(1.24, 0), (1.26, 1), (1.33, 1), (1.41, 1), (1.43, 0), (3.0, 0)]
)
def test_a_bond_that_is_too_long_or_short_is_invalid(length, share):
    one = regular(N, lengths=LENGTHS | {"C-N": length})
    tally = bond_validity([one])
    assert tally.value == share
    assert tally.trials.tolist() == [N - 1]


@pytest.mark.parametrize("name", NATIVE)
def test_only_what_is_changed_is_outside(name):
    assert {k: tally.value for k, tally in outside_native([regular(N)]).items()} == dict.fromkeys(
        NATIVE, 0.0
    )
    low, high = NATIVE[name]
    small = 0.002 * high
    for value, outside in (
        (low - small, 1),
        (low + small, 0),
        (high - small, 0),
        (high + small, 1),
    ):
        lengths, angles = LENGTHS | {name: value}, ANGLES | {name: value}
        one = regular(N, lengths=lengths, angles=angles)
        found = outside_native([one])
        assert found[name].value == outside
        assert sum(tally.value for tally in found.values()) == outside


def test_links_of_ca_are_those_of_trans_residues():
    assert ca_validity([regular(N)]).value == 1
    cis = [180.0] * N
    cis[7] = 0.0
    one = chain_of(backbone([-57.0] * N, [-47.0] * N, cis))
    assert ca_validity([one]).value == pytest.approx(1 - 1 / (N - 1))
    assert trans([one]).value == pytest.approx(1 - 1 / (N - 1))
    assert trans([regular(N)]).value == 1


def test_clashes_are_pairs_that_are_near_and_not_neighbours():
    far = np.zeros((6, 4, 3))
    far[:, 1, 0] = 10 * np.arange(6)
    assert clashes([chain_of(far)]).value == 0
    far[5, 1] = far[0, 1] + [0, 3.5, 0]  # one pair
    far[2, 1] = far[1, 1] + [0, 0, 1.0]  # neighbours
    assert clashes([chain_of(far)]).hits.tolist() == [1]
    assert clashes([chain_of(far)]).value == 1 / 6
    assert clashes([chain_of(far)], nearest=3.4).value == 0
    assert clashes([chain_of(far)], apart=1).hits.tolist() == [2]


def test_helices_are_right_handed_and_their_mirrors_left():
    one = wiggly(40, spread=3)
    assert right_handed([one]).value == 1
    assert right_handed([one]).trials.tolist() == [37]
    assert right_handed([mirrored(one)]).value == 0
    assert right_handed([one, mirrored(one)]).value == 0.5
    assert right_handed([regular(40, STRAND)]).value is None


@pytest.mark.parametrize(
    ("turn", "share"),
    [(29, None), (31, 1), (79, 1), (81, None), (-29, None), (-31, 0), (-79, 0), (-81, None)],
)
def test_turns_of_helices_have_bounds(turn, share):
    ca = [np.array(x, float) for x in ((0, 0, 0), (3.8, 0, 0), (3.8, 3.8, 0))]
    ca.append(place(*ca, 3.8, 90, turn))
    assert right_handed([chain_of(np.repeat(np.array(ca)[:, None], 4, 1))]).value == share


def test_missing_atoms_are_counted_and_counted_out():
    one, two = regular(N), regular(N)
    one.atoms[3, 2] = np.nan
    two.atoms[:] = np.nan
    assert missing_atoms([one, two]).value == (1 + 4 * N) / (8 * N)
    assert bond_validity([one, two]).hits.tolist() == [N - 2, 0]
    assert bond_validity([one, two]).value == 1
    for measure in (bond_validity, ca_validity, clashes, right_handed, trans):
        assert measure([two]).value is None


def test_chains_of_one_residue():
    one = regular(1)
    for measure in (bond_validity, ca_validity, right_handed, trans):
        assert measure([one]).value is None
    assert clashes([one]).value == 0


def test_figures_do_not_move_with_the_chain():
    one = wiggly(30, seed=3, spread=40)
    turn = np.array(
        [[0.0, -1, 0], [math.sqrt(0.5), 0, -math.sqrt(0.5)], [math.sqrt(0.5), 0, math.sqrt(0.5)]]
    )
    moved = chain_of(one.atoms @ turn.T + 3)
    for measure in (bond_validity, ca_validity, clashes, right_handed, trans):
        assert measure([moved]).value == measure([one]).value
