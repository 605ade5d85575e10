"""Names of residues: canonical, modified, protonated, and of nobody."""

import numpy as np
from folds import regular

from feller.proteins.structure.amino_acids import CANONICAL, codes_of_names


def codes(*names, atoms=None):
    atoms = regular(len(names)).atoms if atoms is None else atoms
    return codes_of_names(np.array(names), atoms).tolist()


def test_canonical_names_are_numbered_in_their_order():
    assert codes(*CANONICAL) == list(range(20))
    assert codes("MSE", "ALA") == [10, 0]


def test_what_is_named_for_its_protons_is_what_it_is():
    assert codes("HIE", "HID", "HIP", "HSD", "HSE", "HSP") == [6] * 6
    assert codes("ALA", "CYX", "CYM", "ASH", "GLH", "LYN") == [0, 1, 1, 2, 3, 8]


def test_what_is_bonded_is_a_residue_whatever_its_name():
    assert codes("ALA", "QQZ", "ALA") == [0, 20, 0]


def test_what_stands_alone_is_one_by_its_name_only():
    atoms = regular(3).atoms
    atoms[1] += 50
    assert codes("ALA", "QQZ", "ALA", atoms=atoms) == [0, -1, 0]
    assert codes("ALA", "SEP", "ALA", atoms=atoms) == [0, 20, 0]
    atoms[1, 0] = np.nan
    assert codes("ALA", "HIE", "ALA", atoms=atoms) == [0, -1, 0]


def test_caps_are_no_residues():
    """ACE is bonded to the first residue, and has no CA."""
    atoms = regular(3).atoms
    atoms[0, 1] = np.nan
    assert codes("ACE", "ALA", "ALA", atoms=atoms) == [-1, 0, 0]


def test_what_is_free_is_a_residue_by_its_bond_alone():
    atoms, names, free = regular(3).atoms, np.array(["ALA", "ALA", "SEP"]), np.arange(3) == 2
    assert codes_of_names(names, atoms, free).tolist() == [0, 0, 20]
    atoms[2] += 50
    assert codes_of_names(names, atoms, free).tolist() == [0, 0, -1]
    assert codes_of_names(names, atoms).tolist() == [0, 0, 20]
