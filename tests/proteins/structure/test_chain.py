"""Chains: letters, steps and breaks."""

from dataclasses import replace

import numpy as np
import pytest
from folds import regular
from structures import chain

from feller.proteins.structure.chain import ATOMS, LETTERS, UNKNOWN, Chain, bonded, codes_of


def test_letters_are_the_canonical_ones_in_order():
    assert sorted(LETTERS) == list(LETTERS)
    assert len(set(LETTERS)) == UNKNOWN == 20
    assert not set(LETTERS) & set("BJOUXZ")
    assert ATOMS == ("N", "CA", "C", "O")


def test_a_sequence_comes_back():
    codes = codes_of(LETTERS + "XB-")
    assert codes.tolist() == [*range(20), 20, 20, 20]
    assert codes.dtype == np.uint8
    made = chain(len(codes))
    assert Chain("x", made.atoms, codes, made.index).sequence == LETTERS + 3 * "X"


def test_steps_go_from_ca_to_ca():
    made = chain(5)
    expected = [np.linalg.norm(made.atoms[i + 1, 1] - made.atoms[i, 1]) for i in range(4)]
    assert made.steps == pytest.approx(expected)
    assert not made.breaks.any()


def test_a_chain_is_broken_at_gaps_of_number_and_position():
    made = chain(8)
    made.index[:] = [1, 2, 2, 3, 5, 6, 4, 5]
    made.atoms[3:] += np.float32(10.0)
    made.atoms[7] = np.nan
    assert made.breaks.tolist() == [False, False, True, True, False, True, False]
    assert len(made) == 8


def test_a_bond_outweighs_numbers_that_leap():
    atoms = regular(8).atoms
    numbers = np.array([1, 2, 3, 4, 9, 10, 10, 9], dtype=np.int32)
    assert bonded(atoms).all()
    assert not Chain("x", atoms, codes_of("A" * 8), numbers).breaks.any()
    apart = atoms.copy()
    apart[4:] += 3
    assert Chain("x", apart, codes_of("A" * 8), numbers).breaks.nonzero()[0][0] == 3
    unseen = atoms.copy()
    unseen[3, 2] = np.nan
    assert Chain("x", unseen, codes_of("A" * 8), numbers).breaks.nonzero()[0].tolist() == [3]


def test_positions_go_up_along_the_chain_and_leap_over_breaks():
    whole = regular(8)
    fusion = replace(whole, index=np.array([5, 6, 6, 1001, 1002, 3, 4, 5], dtype=np.int32))
    assert fusion.positions.tolist() == [5, 6, 7, 8, 9, 10, 11, 12]
    torn = replace(whole, index=whole.index + 3 * (np.arange(8) > 3).astype(np.int32))
    torn.atoms[4:] += 9.0
    assert np.diff(torn.positions).tolist() == [1, 1, 1, 4, 1, 1, 1]
    back = replace(torn, index=np.where(np.arange(8) > 3, 1, torn.index).astype(np.int32))
    assert np.diff(back.positions)[3] == 2


def test_some_residues_of_a_chain_keep_their_numbers_and_codes():
    whole = replace(chain(5), index=np.array([1, 52, 52, 52, 60], np.int32), insertions="  AB ")
    part = whole.only(np.array([False, True, False, True, True]))
    assert part.index.tolist() == [52, 52, 60]
    assert part.insertions == " B "
    assert (part.atoms == whole.atoms[[1, 3, 4]]).all()
    assert whole.only(np.array([4])).index.tolist() == [60]


def test_codes_that_do_not_tell_residues_apart_are_given_anew():
    twice = replace(chain(3), index=np.array([5, 5, 5], np.int32), insertions=" AA")
    assert twice.insertion_codes == ["", "A", "B"]
