"""Tables of atoms of mmCIF and BinaryCIF: which columns count, and what is not told."""

import io

import numpy as np
import pytest
from biotite.structure.io.pdbx import BinaryCIFFile, CIFFile, MaskValue, set_structure
from structures import atom_array, binary, chain, models, same, text_cif

from feller.proteins.structure.cif import columns_of_cif


def test_what_is_no_part_of_a_polymer_is_left_out():
    array = atom_array({"A": chain(3)})

    def change(table):
        mask = np.zeros(12, dtype=np.uint8)
        mask[8:] = MaskValue.INAPPLICABLE
        table["label_seq_id"] = type(table["label_seq_id"])(table["label_seq_id"].data.array, mask)

    (found,) = binary(array, change=change)
    assert len(found) == 2


@pytest.mark.parametrize("value", ["?", "."])
def test_a_position_that_is_not_given_is_none(value):
    def change(table):
        told = table["Cartn_x"].as_array(str)
        told[5] = value
        table["Cartn_x"] = told

    (found,) = text_cif(atom_array({"A": chain(3)}), change=change)
    assert np.isnan(found.atoms[1, 1]).tolist() == [True, False, False]
    assert found.has_frame.tolist() == [True, False, True]


def test_labels_stand_in_for_what_authors_do_not_tell():
    def change(table):
        for name in ("auth_seq_id", "auth_comp_id"):
            table[name] = np.repeat("?", 12)
        table["label_seq_id"] = np.repeat(["4", "5", "6"], 4)

    one = chain(3)
    (found,) = text_cif(atom_array({"A": one}), change=change)
    assert found.index.tolist() == [4, 5, 6]
    assert found.sequence == one.sequence


def test_a_residue_without_a_number_is_refused():
    def change(table):
        table["auth_seq_id"] = np.array(["1"] * 4 + ["?"] * 4 + ["3"] * 4)

    with pytest.raises(ValueError, match="has no number of its residue"):
        text_cif(atom_array({"A": chain(3)}), change=change)


def test_alternatives_of_a_table():
    one = chain(3)
    array = atom_array({"A": one})
    both = array + array[4:8]
    both.coord[12:] += 1

    def change(table):
        labels = np.array(["."] * 4 + ["A"] * 4 + ["."] * 4 + ["B"] * 4)
        table["label_alt_id"] = labels
        table["occupancy"] = np.array([1.0] * 4 + [0.4] * 4 + [1.0] * 4 + [0.6] * 4)

    order = np.r_[0:8, 12:16, 8:12]
    (found,) = binary(both[order], change=lambda table: change_rows(table, change, order))
    assert len(found) == 3
    assert found.atoms[1] == pytest.approx(one.atoms[1] + 1, abs=2e-3)


def change_rows(table, change, order):
    made = {}
    change(made)
    for name, values in made.items():
        table[name] = values[order]


def test_author_numbers_and_names_come_first():
    def change(table):
        table["auth_seq_id"] = np.repeat([7, 8, 11], 4)
        table["auth_asym_id"] = np.repeat(["L"], 12)

    (found,) = binary(atom_array({"A": chain(3)}), change=change)
    assert found.index.tolist() == [7, 8, 11]
    assert found.breaks.tolist() == [False, True]


def test_a_table_may_have_labels_alone():
    def change(table):
        for name in ("auth_seq_id", "auth_asym_id", "auth_comp_id", "auth_atom_id"):
            table.pop(name, None)

    one = chain(3)
    assert same(binary(atom_array({"A": one}), change=change)[0], one)


@pytest.mark.parametrize(
    ("category", "name", "value", "expected"),
    [
        ("refine", "ls_d_res_high", "1.85", 1.85),
        ("em_3d_reconstruction", "resolution", "3.2", 3.2),
        ("refine", "ls_d_res_high", "?", np.nan),
    ],
)
def test_resolution(category, name, value, expected):
    file = CIFFile()
    set_structure(file, atom_array({"A": chain(3)}))
    file.block[category] = type(file.block["atom_site"])({name: value})
    (columns,) = columns_of_cif(CIFFile.read(io.StringIO(file.serialize()))).values()
    assert columns.resolution == pytest.approx(expected, nan_ok=True)


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="no column auth_comp_id or label_comp_id"):
        binary(
            atom_array({"A": chain(3)}),
            change=lambda table: [table.pop(n) for n in ("auth_comp_id", "label_comp_id")],
        )


def test_what_has_no_table_is_said():
    with pytest.raises(ValueError, match="atom_site"):
        columns_of_cif(CIFFile.read(io.StringIO("data_x\n_a.b c\n")))


def test_every_block_with_atoms_is_read():
    file = CIFFile()
    for n in (3, 5):
        set_structure(file, atom_array({"A": chain(n)}), data_block=f"d{n}")
    text = f"data_first\n_a.b c\n{file.serialize()}"
    found = columns_of_cif(CIFFile.read(io.StringIO(text)))
    assert {name: len(columns.slot) for name, columns in found.items()} == {"d3": 12, "d5": 20}


@pytest.mark.parametrize("count", [1, 3])
def test_models_are_counted(count):
    file = BinaryCIFFile()
    set_structure(file, models(*[atom_array({"A": chain(3)})] * count))
    (columns,) = columns_of_cif(file).values()
    assert (columns.models, len(columns.slot)) == (count, 12)
