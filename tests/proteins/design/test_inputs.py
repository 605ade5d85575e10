"""What a user names: read, or refused in one line."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import structures

from feller.proteins.design.contigs import parse_contigs
from feller.proteins.design.inputs import (
    length_range,
    read_backbones,
    read_motif,
    read_sequences,
    read_structures,
)
from feller.proteins.structure.writing import write_chains


def refusal(function, *given):
    with pytest.raises(ValueError) as caught:
        function(*given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def two(tmp_path):
    """A file of the chains A and B."""
    chains = {"A": structures.chain(20), "B": structures.chain(25, seed=1, first=101)}
    structures.write(structures.atom_array(chains), tmp_path / "two.pdb")
    return tmp_path / "two.pdb"


def one(folder, chain, name="one.pdb"):
    (file,) = write_chains([chain], folder / name)
    return file


@pytest.mark.parametrize(
    ("text", "found"), [("80", (80, 80)), (" 60 - 100 ", (60, 100)), ("7-7", (7, 7))]
)
def test_lengths(text, found):
    assert length_range(text) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is a number, 80, or a range, 60-100, not ''"),
        ("-5", "not '-5'"),
        ("8.5", "not '8.5'"),
        ("0", "at least 1, not 0"),
        ("9-3", "9-3 ends before it begins"),
        ("9\n-3", "--length 9-3 ends before it begins"),
        ("60-99999999999999999999", "at most 10,000, not 99,999,"),
    ],
)
def test_what_is_no_length(text, reason):
    assert reason in refusal(length_range, text)


def test_letters_are_a_sequence():
    (chain,) = read_sequences("MKVx")
    assert chain.sequence == "MKVX"
    assert np.isnan(chain.atoms).all()


def test_a_fasta_file_has_several(tmp_path):
    file = tmp_path / "a.fasta"
    file.write_text(">one of two\nMKV\nLLA\r\n\n>two\nac d\n")
    assert [(c.name, c.sequence) for c in read_sequences(str(file))] == [
        ("one", "MKVLLA"), ("two", "ACD"),
    ]  # fmt: skip


def test_what_is_no_sequence(tmp_path):
    file = tmp_path / "a.fasta"
    assert refusal(read_sequences, "MKB").startswith("letter 3 of the sequence, 'B', is none of AC")
    assert "neither the letters of residues nor a FASTA file" in refusal(read_sequences, "MK-V")
    assert refusal(read_sequences, 300 * "M" + "*").startswith("letter 301 of the sequence, '*'")
    assert len(refusal(read_sequences, 5000 * "/")) < 200
    assert "nor a FASTA file" in refusal(read_sequences, "")
    assert "is a folder: --fold takes letters" in refusal(read_sequences, str(tmp_path))
    assert "nor a FASTA file" in refusal(read_sequences, str(file))
    for content, reason in (
        (b"", "does not begin with >"),
        (b"MKV\n>a\nMKV\n", "does not begin with >"),
        (b"\xff\xfe>a", "it is not text"),
        (b">a\n>b\nMKV\n", "a has no residues"),
        (b">a\nMK*\n", "letter 3 of a, '*', is none of"),
    ):
        file.write_bytes(content)
        assert reason in refusal(read_sequences, str(file))


def test_structures_and_what_is_none(tmp_path, two):
    (tmp_path / "bad.cif").write_text("data_x\n")
    chains, refusals = read_structures(tmp_path)
    assert [chain.name for chain in chains] == ["two_A", "two_B"]
    assert [refusal.name for refusal in refusals] == ["bad"]


def test_trajectories_are_passed_over_aloud(tmp_path, two):
    (tmp_path / "trajectories").mkdir()
    two.rename(tmp_path / "trajectories" / "two.pdb")
    one(tmp_path, structures.chain(9))
    chains, (passed,) = read_structures(tmp_path)
    assert [chain.name for chain in chains] == ["one"]
    assert passed.reason.startswith("1 trajectories")
    assert len(read_structures(tmp_path / "trajectories")[0]) == 2


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.pdb", "", "a.pdb has no chain that can be read: a: "),
        ("a.cif", "nonsense", "a.cif has no chain that can be read: a: "),
        ("a.txt", "MKV", "expected a name that ends in one of"),
        ("a.zip", "no zip", "not a readable archive"),
        (None, "", "no such file or folder"),
    ],
)
def test_what_cannot_be_read(name, content, reason, tmp_path):
    file = tmp_path / (name or "none.pdb")
    if name:
        file.write_text(content)
    assert reason in refusal(read_structures, file)


def test_backbones_are_whole(tmp_path, two):
    assert [len(chain) for chain in read_backbones(two)] == [20, 25]
    lacking = structures.chain(10, first=5)
    lacking.atoms[3, 1] = np.nan
    assert "residue 8 of one lacks one of" in refusal(read_backbones, one(tmp_path, lacking))
    torn = structures.chain(10, first=5)
    torn.atoms[4:] += 9
    assert "one is broken after residue 8" in refusal(read_backbones, one(tmp_path, torn))
    (tmp_path / "bad.cif").write_text("data_x\n")
    assert "bad: " in refusal(read_backbones, tmp_path)


def test_a_motif_by_its_letters(tmp_path, two):
    assert sorted(read_motif(two, parse_contigs("A3-4,B101"))) == ["A", "B"]
    lone = one(tmp_path, structures.chain(9))
    assert list(read_motif(lone, parse_contigs("4,C3-4"))) == ["A"]  # which the contigs then miss
    blank = tmp_path / "blank.pdb"
    blank.write_text("\n".join(f"{x[:21]} {x[22:]}" for x in lone.read_text().splitlines()))
    assert list(read_motif(blank, parse_contigs("4,C3-4"))) == ["C"]
    assert read_motif(None, parse_contigs("4-8")) == {}
    assert "has one chain, the contigs name A and B" in refusal(
        read_motif, blank, parse_contigs("A3,B4")
    )
    assert refusal(read_motif, None, parse_contigs("5,A3-4")) == (
        "contig A3-4 is of a structure: give its file with --motif"
    )
    assert "is one structure file" in refusal(read_motif, tmp_path, parse_contigs("A3"))


def test_trajectories_beside_samples_are_no_samples(tmp_path):
    folder = tmp_path / "samples"
    for place in (folder, folder / "trajectories"):
        place.mkdir()
        one(place, structures.chain(9))
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", folder)
    for path in (folder, Path(archive)):
        chains, refusals = read_structures(path)
        assert (len(chains), [r.kind for r in refusals]) == (1, ["trajectories"])
        assert len(read_backbones(path)) == 1
    (alone,) = (folder / "trajectories").iterdir()
    assert len(read_structures(alone)[0]) == 1


def test_models_after_the_first_are_passed_over_aloud(tmp_path, capsys):
    array = structures.atom_array({"A": structures.chain(9)})
    file = structures.write(structures.models(array, array), tmp_path / "x.pdb")
    chains, (passed,) = read_structures(file)
    assert (len(chains), passed.kind) == (1, "of several models")
    assert len(read_backbones(file)) == 1
    assert capsys.readouterr().err == "skipped x: 1 of its 2 models: the first is read\n"
    assert len(read_motif(file, parse_contigs("A3-4"))["A"]) == 9
    assert capsys.readouterr().err == "skipped x: 1 of its 2 models: the first is read\n"


def test_a_motif_of_several_structures_is_refused(tmp_path):
    file = one(tmp_path, structures.chain(9), "one.cif")
    text = file.read_text()
    file.write_text(text + text.replace("data_", "data_other_", 1))
    assert "has 2 chains A: give a file of one structure" in refusal(
        read_motif, file, parse_contigs("A3-4")
    )


def test_one_structure_in_two_formats_is_read_once(tmp_path):
    for name in ("x.cif", "x.pdb"):
        structures.write(structures.atom_array({"A": structures.chain(9)}), tmp_path / name)
    chains, refusals = read_structures(tmp_path)
    assert [chain.name for chain in chains] == ["x"]
    assert [(r.name, r.reason) for r in refusals] == [("x", "another file of this name was read")]


@pytest.mark.parametrize("scale", [0.0, 0.1])
def test_positions_that_are_no_frames_are_refused(scale, tmp_path):
    chain = structures.chain(9)
    file = one(tmp_path, replace(chain, atoms=chain.atoms * np.float32(scale)))
    assert "residue 1 of one has N, CA and C where no bonds are" in refusal(read_backbones, file)
