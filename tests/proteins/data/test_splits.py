"""What is held out: no relative of it is trained on, and every name in a list means something."""

from dataclasses import replace

import numpy as np
import pytest
from structures import atom_array, chain, write

from feller.proteins.data.dataset import ProteinData
from feller.proteins.data.filters import Filters
from feller.proteins.data.mapped import DataError
from feller.proteins.data.splits import Names, assigned, read_clusters, read_ids

ALL = Filters(min_length=1, max_gyration=100.0, max_coil=1.0, max_step=1e9, min_known=0.0)
NAMES = Names(
    ["pdb1ake", "ab/2XYZ_A", "ab/2XYZ_B", "9abc_A", "9abc_a", "model"],
    ["A", "A", "B", "A", "a", ""],
    refused=["pdb3bad", "4bad_A"],
)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("pdb1ake", [0]), ("1ake", [0]), ("1AKE", [0]), ("1ake_A", [0]), ("1AKE_a", [0]),
        ("PDB1AKE.ent.gz", [0]), ("pdb_00001ake_A", [0]), ("1akeA", [0]), ("1ake_B", None),
        ("2xyz", [1, 2]), ("2xyz_B", [2]), ("2XYZ_B.pdb", [2]), ("ab/2XYZ_A", [1]), ("2xyzB", [2]),
        ("9abc_A", [3]), ("9abc_a", [4]), ("9ABC_a", [4]), ("9abc", [3, 4]), ("MODEL.pdb", [5]),
        ("3bad", []), ("3BAD_C", []), ("4bad_A", []), ("4bad_B", None), ("4bad", []),
        ("3o21_A", None), ("ake", None), ("A", None), ("_", None),
    ],
)  # fmt: skip
def test_names_are_matched_as_they_are_written(listed, expected):
    assert NAMES.find(listed) == expected


def test_names_that_match_nothing_are_counted_and_refused(tmp_path):
    """As of the case that was found: two of three were trained on in silence."""
    names, file = Names(["pdb1ake", "3o21_A"], ["A", "A"]), tmp_path / "ids.txt"
    file.write_text("3o21_A\n1ake_A\n1ubi_A\n")
    with pytest.raises(DataError) as error:
        read_ids(str(file), names)
    assert str(error.value) == (
        f"{file}: 1 of 3 names match no chain (1ubi_A); chains are called pdb1ake, 3o21_A: "
        "fix the names, or skip them with --data.unmatched pass"
    )
    assert read_ids(str(file), names, strict=False) == {0, 1}
    file.write_text("\ufeff3O21_a\n")
    assert read_ids(str(file), names) == {1}
    file.write_text(" \n")
    with pytest.raises(DataError, match=r"ids\.txt names no chain"):
        read_ids(str(file), names)


def test_clusters_are_matched_in_the_same_way(tmp_path):
    names, file = Names(["pdb1ake", "2xyz_A", "2xyz_B"], ["A", "A", "B"]), tmp_path / "a.csv"
    file.write_text("id,homology_group\n1AKE_A,one\n2xyz,two\n")
    assert read_clusters(str(file), names) == {0: "one", 1: "two", 2: "two"}
    file.write_text("id,homology_group\n1AKE_A,one\n2xya_A,two\n")
    with pytest.raises(DataError, match=r"1 of 2 names match no chain \(2xya_A\)"):
        read_clusters(str(file), names)
    assert read_clusters(str(file), names, strict=False) == {0: "one"}
    file.write_text("id,homology_group\n1ake_A,one\n1ake,two\n")
    with pytest.raises(DataError, match="pdb1ake is in two clusters, 'one' and 'two'"):
        read_clusters(str(file), names)
    file.write_text("id,homology_group\n1ake_A\n")
    with pytest.raises(DataError, match=r"row 2 of .*a\.csv lacks its id or its homology_group"):
        read_clusters(str(file), names)


def test_lists_leave_out_the_relatives_of_each_other():
    clusters = ["a", "a", "b", "c"]
    where, left = assigned(None, frozenset({0}), clusters)
    assert (where.tolist(), left) == (["test", "", "train", "train"], 1)
    where, left = assigned(frozenset({2}), None, clusters)
    assert (where.tolist(), left) == (["test", "test", "train", "test"], 0)
    where, left = assigned(frozenset({1}), frozenset({0}), clusters)
    assert (where.tolist(), left) == (["test", "train", "", ""], 0)
    with pytest.raises(DataError, match="1 chains are both in train_ids and in test_ids"):
        assigned(frozenset({1}), frozenset({1}), clusters)


@pytest.fixture
def source(tmp_path):
    """Ten dimers of identical chains, one of which lacks a residue within and some at its end."""
    root = tmp_path / "all"
    root.mkdir()
    for i in range(10):
        one = chain(70, seed=i)
        keep = np.delete(np.arange(66), 20)
        other = replace(
            one, atoms=one.atoms[keep], residues=one.residues[keep], index=one.index[keep]
        )
        write(atom_array({"A": one, "B": other}), root / f"d{i}.bcif")
    return root


def data(source, tmp_path, **options):
    options = {"test_fraction": 0.3, "filters": ALL, "rounds": 1, **options}
    return ProteinData(path=str(source), cache=str(tmp_path / "cache"), **options)


def entries_of(parts):
    return {parts.name(i).partition("_")[0] for i in range(len(parts))}


def test_the_twin_of_a_chain_that_is_held_out_is_not_trained_on(source, tmp_path, capsys):
    some = data(source, tmp_path)
    train, test = some.build(), some.build("test")
    assert entries_of(train) and entries_of(test)
    assert not entries_of(train) & entries_of(test)
    assert len(test) == 2 * len(entries_of(test))
    assert "clusters: 10 of 20 chains, by sequence (30 residues" in capsys.readouterr().err


def test_a_list_holds_out_twins_too(source, tmp_path, capsys):
    (tmp_path / "ids.txt").write_text("d3_A\n")
    some = data(source, tmp_path, test_ids=str(tmp_path / "ids.txt"))
    train, test = some.build(), some.build("test")
    assert [test.name(i) for i in range(len(test))] == ["d3_A"]
    assert entries_of(train) == {f"d{i}" for i in range(10)} - {"d3"}
    assert "left out: 1 chains, relatives of those that a list names" in capsys.readouterr().err


def test_relatives_of_two_clusters_of_a_file_are_held_out_together(source, tmp_path, capsys):
    """Identical chains in other clusters of the file: one was trained on, nothing said."""
    rows = [f"d{i}_{letter},{letter}{i}" for i in range(10) for letter in "AB"]
    (tmp_path / "a.csv").write_text("\n".join(["id,homology_group", *rows]))
    (tmp_path / "ids.txt").write_text("d3_A\n")
    files = {"test_ids": str(tmp_path / "ids.txt"), "clusters": str(tmp_path / "a.csv")}
    assert entries_of(data(source, tmp_path, **files).build()) == {f"d{i}" for i in range(10)} - {
        "d3"
    }
    told = capsys.readouterr().err
    assert "clusters: 10 of 20 chains, by a.csv and by sequence (30 residues" in told
    assert "united: 10 clusters of a.csv with others, by sequence" in told


def test_relatives_on_both_sides_are_reported(source, tmp_path, capsys):
    for name, text in (("train", "d1_A d3_B"), ("test", "d3_A d4_A")):
        (tmp_path / name).write_text(text)
    files = {f"{name}_ids": str(tmp_path / name) for name in ("train", "test")}
    data(source, tmp_path, **files).build()
    told = "held out in vain: 1 chains have relatives that are trained on"
    assert told in capsys.readouterr().err


def test_a_chain_that_the_clusters_lack_goes_with_its_relative(source, tmp_path):
    rows = [f"d{i}_A,group{i // 2}" for i in range(10)]
    (tmp_path / "a.csv").write_text("\n".join(["id,homology_group", *rows]))
    some = data(source, tmp_path, clusters=str(tmp_path / "a.csv"), test_fraction=0.0)
    assert len(some.build()) == 5


@pytest.mark.slow
@pytest.mark.timeout(900)  # 12,000 structures are read
def test_real_lists_match_real_chains(data_root, tmp_path, capsys):
    root = data_root / "proteins"
    some = ProteinData(
        path=str(root / "pdb_backbone_40_256.bcif.zip"), crop=128, workers=2, cache=str(tmp_path)
    )
    train, test = some.build(), some.build("test")
    assert not set(train.chains.tolist()) & set(test.chains.tolist())
    said = capsys.readouterr().err
    assert "by sequence (30 residues in a row are enough)" in said
    assert "in vain" not in said
