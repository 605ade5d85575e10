"""Backbones out of tables of atoms: what belongs to a chain, and what does not."""

from dataclasses import replace

import numpy as np
import pytest
from biotite.structure import AtomArray
from biotite.structure.io.pdb import PDBFile
from folds import regular
from structures import atom_array, binary, chain, models, same

from feller.proteins.structure.amino_acids import CANONICAL
from feller.proteins.structure.atom_table import chains_of, columns_of_pdb
from feller.proteins.structure.chain import codes_of

ALANINE = """\
ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00  0.00           N
ATOM      2  CA  ALA A   1      11.639   6.071  -5.147  1.00  0.00           C
ATOM      3  C   ALA A   1      10.674   6.571  -4.080  1.00  0.00           C
ATOM      4  O   ALA A   1       9.474   6.334  -4.166  1.00  0.00           O
"""


def pdb(text):
    return chains_of(columns_of_pdb(text.encode()), "x")


def test_the_names_are_those_of_the_letters():
    from biotite.sequence import ProteinSequence

    letters = "".join(ProteinSequence.convert_letter_3to1(name) for name in CANONICAL)
    assert codes_of(letters).tolist() == list(range(20))


def test_a_residue_is_what_stands_there():
    (found,) = pdb(ALANINE)
    assert (found.name, found.sequence, found.index.tolist()) == ("x", "A", [1])
    assert found.atoms[0, 3].tolist() == pytest.approx([9.474, 6.334, -4.166])
    assert found.atoms.dtype == np.float32


def test_occupancy_and_element_may_be_left_out():
    short = "\n".join(line[:54] for line in ALANINE.splitlines())
    assert same(pdb(short)[0], pdb(ALANINE)[0])


def test_the_first_model_counts():
    moved = ALANINE.replace("11.639", "99.999")
    (found,) = pdb(f"MODEL        1\n{ALANINE}ENDMDL\nMODEL        2\n{moved}ENDMDL\n")
    assert same(found, pdb(ALANINE)[0])
    (found,) = pdb(f"MODEL        1\n{ALANINE}TER\nMODEL        2\n{moved}TER\nEND\n")
    assert same(found, pdb(ALANINE)[0])  # as some tools write models
    one = chain(5)
    array, other = atom_array({"A": one}), atom_array({"A": one})
    other.coord += 5
    assert same(binary(models(array, other))[0], one)


def test_hetero_atoms_are_no_residues_but_for_modified_ones():
    lines = ALANINE.splitlines()
    residue = [line.replace("ALA A   1", "{} A {:>3}") for line in lines]

    def made(name, number, kind):
        return "\n".join(line.format(name, number).replace("ATOM  ", kind) for line in residue)

    text = "\n".join(
        [
            made("MSE", 1, "HETATM"),
            made("SEP", 2, "HETATM"),
            made("UNK", 3, "ATOM  "),
            made("GLY", 90, "HETATM"),  # a free amino acid
            made("HEM", 91, "HETATM"),
            "HETATM    9 CA    CA A  92      11.104   6.134  -6.504  1.00  0.00          CA",
        ]
    )
    (found,) = pdb(text)
    assert found.sequence == "MXX"
    assert found.index.tolist() == [1, 2, 3]


def test_missing_atoms_are_nan():
    one = chain(4)
    one.atoms[1, 3] = np.nan
    one.atoms[2, 1] = np.nan
    (found,) = binary(atom_array({"A": one}))
    assert same(found, one)
    assert np.isnan(found.atoms).sum() == 6


def test_the_first_of_two_atoms_of_one_name_stays():
    text = ALANINE + ALANINE.splitlines()[1].replace("11.639", "99.999") + "\n"
    assert same(pdb(text)[0], pdb(ALANINE)[0])


def test_insertions_are_residues_of_their_own():
    second = ALANINE.replace("A   1 ", "A   1A")
    third = ALANINE.replace("A   1 ", "A   2 ")
    (found,) = pdb(ALANINE + second + third)
    assert found.index.tolist() == [1, 1, 2]
    assert not found.breaks.any()


@pytest.mark.parametrize(
    ("shares", "sequence", "x"),
    [((0.3, 0.7), "G", 22.0), ((0.7, 0.3), "A", 11.639), ((0.5, 0.5), "A", 11.639)],
)
def test_the_likeliest_alternative_is_taken_whole(shares, sequence, x):
    rows = []
    for label, name, share in zip("AB", ("ALA", "GLY"), shares, strict=True):
        for line in ALANINE.splitlines():
            moved = line.replace("11.639", "22.000") if label == "B" else line
            row = moved[:16] + label + name + moved[20:54] + f"{share:6.2f}" + moved[60:]
            rows.append(row)
    mixed = [row for pair in zip(rows[:4], rows[4:], strict=True) for row in pair]
    for order in (rows, rows[::-1], mixed):
        (found,) = pdb("\n".join(order))
        assert found.sequence == sequence
        assert found.atoms[0, 1, 0] == pytest.approx(x)
        assert not np.isnan(found.atoms).any()


def test_alternatives_may_stand_in_blocks():
    lines = ALANINE.splitlines()
    second = [line[:22] + "   2" + line[26:30] + "  25.000" + line[38:] for line in lines]
    blocks = [line[:16] + label + line[17:] for label in "AB" for line in lines + second]
    (found,) = pdb("\n".join(blocks))
    assert found.index.tolist() == [1, 2]


@pytest.mark.parametrize("atoms", [("N", "CA", "C", "O"), ("CA",)])
@pytest.mark.parametrize("between", [[], ["TER"]])
@pytest.mark.parametrize("late", [0.3, 0.7])
def test_alternatives_after_the_chain_stand_where_their_residue_does(atoms, between, late):
    one = chain(6)
    lines = written(one)
    some = [i for i in range(8, 16) if lines[i][12:16].strip() in atoms]
    after = [lines[i][:16] + "B" + lines[i][17:30] + f"{50:8.3f}" + lines[i][38:] for i in some]
    for i in some:
        lines[i] = lines[i][:16] + "A" + lines[i][17:54] + f"{1 - late:6.2f}" + lines[i][60:]
    after = [line[:54] + f"{late:6.2f}" + line[60:] for line in after]
    (found,) = pdb("\n".join([*lines, *between, *after, ""]))
    assert found.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert found.sequence == one.sequence
    moved = (found.atoms[2:4, :, 0] == 50).sum()
    assert moved == (len(some) if late > 0.5 else 0)
    assert not np.isnan(found.atoms).any()


def test_alternatives_of_a_number_that_comes_again_stay():
    """A number that comes again is of another residue, which may have alternatives of its own."""
    one = chain(4)
    array = atom_array({"A": one})
    array.res_id = np.repeat([1, 2, 1, 2], 4)

    def change(table):
        table["label_alt_id"] = np.array(["."] * 9 + ["A"] + ["."] * 6)

    (found,) = binary(array, change=change)
    assert same(found, replace(one, index=np.array([1, 2, 1, 2], np.int32)))


def test_a_mark_of_byte_order_hides_no_atom():
    (found,) = chains_of(columns_of_pdb(b"\xef\xbb\xbf" + ALANINE.encode()), "x")
    assert not np.isnan(found.atoms).any()


def test_chains_of_a_structure_add_their_names():
    first, second = chain(4), chain(5, seed=1)
    found = binary(atom_array({"B": first, "A": second}))
    assert [c.name for c in found] == ["x_B", "x_A"]
    assert same(found[0], first)
    assert same(found[1], second)


def test_resolution_of_a_pdb_file():
    remark = "REMARK   2\nREMARK   2 RESOLUTION.    2.10 ANGSTROMS.\n"
    assert pdb(remark + ALANINE)[0].resolution == pytest.approx(2.1)
    assert np.isnan(pdb("REMARK   2 RESOLUTION. NOT APPLICABLE.\n" + ALANINE)[0].resolution)


def test_what_has_no_atoms_is_said():
    with pytest.raises(ValueError, match="no ATOM records"):
        columns_of_pdb(b"HEADER\n")


def test_nucleotides_make_no_chain():
    array = AtomArray(1)
    array.coord[:] = 0
    array.atom_name[:], array.res_name[:], array.chain_id[:] = "C", "DA", "A"
    array.element[:] = "C"
    assert binary(array) == []


def pdb_of(atoms, names, letters=None, ends=()):
    lines = []
    for i, (places, name) in enumerate(zip(atoms, names, strict=True)):
        for atom, (x, y, z) in zip(("N", "CA", "C", "O"), places, strict=True):
            letter = " " if letters is None else letters[i]
            head = f"ATOM  {len(lines) + 1:5d}  {atom:<3} {name} {letter}{i + 1:4d}    "
            lines.append(f"{head}{x:8.3f}{y:8.3f}{z:8.3f}")
        lines += ["TER"] * (i in ends)
    return "\n".join(lines)


def test_blank_chains_are_separated_by_what_ends_them():
    atoms = regular(9).atoms
    text = pdb_of(atoms, ["ALA"] * 9, ends=(3, 8))
    found = chains_of(columns_of_pdb(text.encode()), "x")
    assert [(c.name, len(c), c.letter) for c in found] == [("x__", 4, ""), ("x_B", 5, "B")]
    (lone,) = chains_of(columns_of_pdb(pdb_of(atoms, ["ALA"] * 9).encode()), "x")
    assert (lone.name, len(lone), lone.letter) == ("x", 9, "")
    (kept,) = chains_of(columns_of_pdb(pdb_of(atoms, ["ALA"] * 9, "C" * 9, (3,)).encode()), "x")
    assert (kept.name, len(kept), kept.letter) == ("x", 9, "C")


def test_a_chain_without_a_letter_is_not_added_to_one_that_has_it():
    text = pdb_of(regular(9).atoms, ["ALA"] * 9, "BBBB     ", ends=(3, 8))
    found = chains_of(columns_of_pdb(text.encode()), "x")
    assert [(len(c), c.letter) for c in found] == [(4, "B"), (5, "C")]


def test_frames_that_end_without_models_are_not_chained_together():
    frame = pdb_of(regular(5).atoms, ["ALA"] * 5)
    (found,) = chains_of(columns_of_pdb(f"{frame}\nEND\n{frame}\nEND\n".encode()), "x")
    assert len(found) == 5


def written(one):
    """The records of a chain."""
    file = PDBFile()
    file.set_structure(atom_array({"A": one}))
    return [line for line in file.lines if line.startswith("ATOM")]


def test_residues_of_one_number_are_known_by_their_bond():
    one = replace(regular(6), residues=chain(6).residues)
    lines = [f"{line[:22]}   1{line[26:]}" for line in written(one)]
    (found,) = pdb("\n".join(lines) + "\n")
    assert found.sequence == one.sequence
    assert found.index.tolist() == [1] * 6
    assert not np.isnan(found.atoms).any()


@pytest.mark.parametrize("place", ["9999.0009999.0009999.000", f"{'inf':>8}" * 3])
def test_what_was_never_put_is_nowhere(place):
    one = chain(4)
    lines = written(one)
    lines[8] = lines[8][:30] + place + lines[8][54:]  # N of the third residue
    (found,) = pdb("\n".join(lines) + "\n")
    assert np.argwhere(np.isnan(found.atoms).all(-1)).tolist() == [[2, 0]]
