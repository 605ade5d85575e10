"""What is written comes back: through biotite, atom by atom, in every format."""

import biotite.structure as struc
import numpy as np
import pytest
from biotite.sequence import ProteinSequence
from biotite.sequence.io import fasta
from biotite.structure.io import pdb, pdbx

from feller.proteins.structure import writing
from feller.proteins.structure.chain import LETTERS, Chain
from feller.proteins.structure.reading import read_chains
from feller.proteins.structure.writing import (
    FORMATS,
    file_stem,
    write_chains,
    write_fasta,
    write_trajectory,
)

every_format = pytest.mark.parametrize("format", FORMATS)


def chain(n=25, name="a", seed=0, **changes):
    """A chain of every residue, the unknown one among them, with places up to 60 Angstrom."""
    rng = np.random.default_rng(seed)
    fields = {
        "name": name,
        "atoms": rng.uniform(-60, 60, (n, 4, 3)).astype(np.float32),
        "residues": (np.arange(n) % 21).astype(np.uint8),
        "index": np.arange(1, n + 1, dtype=np.int32),
    }
    return Chain(**fields | changes)


def read(file, model=1):
    """Read with biotite: the first model, or all of them."""
    if file.suffix == ".pdb":
        return pdb.PDBFile.read(file).get_structure(model=model, extra_fields=["b_factor"])
    kind = pdbx.CIFFile if file.suffix == ".cif" else pdbx.BinaryCIFFile
    return pdbx.get_structure(kind.read(file), model=model, extra_fields=["b_factor"])


@every_format
def test_a_chain_comes_back(format, tmp_path):
    a = chain()
    (file,) = write_chains([a], tmp_path, format)
    back = read(file)
    assert file == tmp_path / f"a.{format}"
    assert np.abs(back.coord - a.atoms.reshape(-1, 3)).max() < 0.001
    assert list(back.atom_name) == ["N", "CA", "C", "O"] * 25
    assert list(back.element) == ["N", "C", "C", "O"] * 25
    assert (back.res_id == np.repeat(np.arange(1, 26), 4)).all()
    assert (back.chain_id == "A").all()
    assert not back.hetero.any()
    names = [*(ProteinSequence.convert_letter_1to3(letter) for letter in LETTERS), "UNK"]
    assert list(back.res_name[::4]) == [names[i % 21] for i in range(25)]
    assert (back.b_factor == 0).all()
    assert struc.filter_amino_acids(back).all()  # UNK too


@every_format
def test_our_own_reader_reads_it(format, tmp_path):
    number = np.array([3, 4, 4, *range(5, 27)], dtype=np.int32)[:25]
    a = chain(index=number)
    a.atoms[4, 3] = np.nan
    write_chains([a], tmp_path, format)
    (back,) = read_chains(tmp_path)
    assert isinstance(back, Chain), back
    assert back.sequence == a.sequence
    assert (back.index == number).all()
    assert np.allclose(back.atoms, a.atoms, atol=1e-3, equal_nan=True)


@every_format
def test_atoms_that_are_missing_are_left_out(format, tmp_path):
    a = chain(4)
    a.atoms[1, 3] = np.nan
    a.atoms[2, 0, 1] = np.nan  # a place with an unknown coordinate is unknown
    (file,) = write_chains([a], tmp_path, format)
    back = read(file)
    assert [(i, name) for i, name in zip(back.res_id, back.atom_name, strict=True)] == [
        (i, name)
        for i in range(1, 5)
        for name in ("N", "CA", "C", "O")
        if (i, name) not in {(2, "O"), (3, "N")}
    ]


@every_format
def test_numbers_may_skip_fall_and_repeat(format, tmp_path):
    number = np.array([-3, 7, 52, 52, 52, 60, 8], dtype=np.int32)
    (file,) = write_chains([chain(7, index=number)], tmp_path, format)
    back = read(file)
    assert (back.res_id[::4] == number).all()
    assert list(back.ins_code[::4]) == ["", "", "", "A", "B", "", ""]
    assert struc.get_residue_count(back) == 7


@every_format
def test_insertion_codes_come_back(format, tmp_path):
    number = np.array([111, 111, 112, 112, 113], dtype=np.int32)  # as IMGT counts
    (file,) = write_chains([chain(5, index=number, insertions=" AA  ")], tmp_path, format)
    assert list(read(file).ins_code[::4]) == ["", "A", "A", "", ""]
    (back,) = read_chains(file)
    assert isinstance(back, Chain)
    assert back.insertions == " AA  "
    assert back.insertion_codes == ["", "A", "A", "", ""]


@every_format
@pytest.mark.parametrize("letter", ["", "b", "AA", "PROTEIN-1", "A'"])
def test_the_letter_of_a_chain_comes_back(letter, format, tmp_path):
    (file,) = write_chains([chain(5, letter=letter)], tmp_path, format)
    (back,) = read_chains(file)
    assert isinstance(back, Chain)
    fits = len(letter) == 1 or (letter and format != "pdb")
    assert back.letter == (letter if fits else "A")


@every_format
def test_b_factors_come_back(format, tmp_path):
    values = np.linspace(0, 99, 25)
    (file,) = write_chains([chain()], tmp_path, format, b_factors=[values])
    assert np.abs(read(file).b_factor - np.repeat(values, 4)).max() < 0.006


def test_a_pdb_file_ends_as_it_should(tmp_path):
    numbers = np.array([5, 6, 6], np.int32)
    a = chain(3, residues=np.array([0, 1, 9], np.uint8), index=numbers, letter="B")
    (file,) = write_chains([a], tmp_path)
    lines = file.read_text().splitlines()
    assert lines[-2] == "TER      13      LEU B   6A".ljust(80)
    assert lines[-1] == "END".ljust(80)
    assert [line[:6] for line in lines[:-2]] == ["HEADER", *["ATOM  "] * 12]
    assert lines[-3][17:27] == lines[-2][17:27]
    assert {len(line) for line in lines} == {80}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_says_its_format(suffix, tmp_path):
    file = tmp_path / "new" / f"b.{suffix}"
    assert write_chains([chain(3)], file) == [file]
    assert read(file).array_length() == 12


def test_many_chains_go_into_a_folder(tmp_path):
    files = write_chains([chain(3, "1abc/A"), chain(3, "1abc B")], tmp_path / "out", "cif")
    assert [file.name for file in files] == ["1abc-A.cif", "1abc-B.cif"]
    assert sorted((tmp_path / "out").iterdir()) == files  # nothing is left over
    assert "data_1abc-A" in files[0].read_text()
    assert file_stem("..") == file_stem("") == "chain"
    assert len(file_stem(400 * "a")) == 120


@every_format
def test_a_trajectory_comes_back(format, tmp_path):
    rng = np.random.default_rng(1)
    frames = rng.uniform(-99, 99, (5, 6, 4, 3)).astype(np.float32)
    frames[:, 2, 3] = np.nan
    residues = np.array([0, 3, 20, 19, 5, 5])
    file = tmp_path / f"t.{format}"
    write_trajectory(list(frames), residues, file)
    back = read(file, model=None)
    known = ~np.isnan(frames[0]).any(-1)
    assert back.stack_depth() == 5
    assert np.abs(back.coord - frames[:, known]).max() < 0.001
    assert list(back.res_name[back.atom_name == "CA"]) == ["ALA", "GLU", "UNK", "TYR", "GLY", "GLY"]


def test_each_model_of_a_pdb_file_is_closed(tmp_path):
    write_trajectory(np.zeros((2, 1, 4, 3), np.float32), np.array([0]), tmp_path / "t.pdb")
    heads = [line.split()[0] for line in (tmp_path / "t.pdb").read_text().splitlines()]
    assert heads == ["HEADER", *["MODEL", *["ATOM"] * 4, "TER", "ENDMDL"] * 2, "END"]


def test_sequences_come_back(tmp_path):
    chains = [chain(100, "long one"), chain(5, "b")]
    write_fasta(chains, tmp_path / "a.fasta")
    back = fasta.FastaFile.read(tmp_path / "a.fasta")
    assert dict(back) == {c.name: c.sequence for c in chains}
    assert max(map(len, (tmp_path / "a.fasta").read_text().splitlines())) == 80
    assert chains[1].sequence == "ACDEF"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (([chain()], "a.cif", "pdb"), "end it in .pdb"),
        (([chain()], "a", "xyz"), "format is pdb, cif or bcif, not xyz"),
        (([chain(), chain()], "a.pdb"), "a.pdb holds one chain, not 2: name a folder"),
        (([chain(), chain()], "a"), "2 chains are called a: each needs its own name"),
        (
            ([chain(2, index=np.array([1, 10000], np.int32))], "a"),
            "a: a residue number is outside of",
        ),
        (([chain(2, atoms=np.full((2, 4, 3), -1e3, "f4"))], "a"), "a: a coordinate is outside of"),
        (([chain(2, atoms=np.full((2, 4, 3), np.inf, "f4"))], "a"), "B factor is infinite"),
        (([chain(2, atoms=np.full((2, 4, 3), np.nan, "f4"))], "a"), "a: there is no atom to write"),
        (([chain(2, residues=np.array([0, 21], np.uint8))], "a"), "residues are 0 to 20, not 21"),
        (([chain(28, index=np.ones(28, np.int32))], "a"), "more than 27 residues share a number"),
        (([chain(2)], "a", None, [np.zeros(3)]), "a: 3 B factors for 2 residues"),
        (([chain(2)], "a", None, [np.full(2, 1e3)]), "a: a B factor is outside of"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, complaint, tmp_path):
    chains, name, *more = arguments
    with pytest.raises(ValueError, match=complaint):
        write_chains(chains, tmp_path / name, *more)
    assert not any(tmp_path.iterdir())


def test_a_large_chain_fits_into_cif(tmp_path):
    a = chain(2, index=np.array([1, 123456], np.int32))
    (file,) = write_chains([a], tmp_path, "cif")
    assert read(file).res_id[-1] == 123456


@pytest.mark.parametrize(
    ("frames", "name", "complaint"),
    [
        (np.zeros((0, 1, 4, 3), np.float32), "t.pdb", "at least one frame"),
        (np.zeros((2, 1, 4, 3), np.float32), "t", "a trajectory is one .pdb, .cif, .bcif file"),
        (np.full((2, 1, 4, 3), 1e5, np.float32), "t.pdb", "t.pdb: a coordinate is outside of"),
        (
            np.array([np.zeros((1, 4, 3)), np.full((1, 4, 3), np.nan)], np.float32),
            "t.cif",
            "an atom is missing from some frames and not from others",
        ),
    ],
)
def test_a_trajectory_that_does_not_fit_is_refused(frames, name, complaint, tmp_path):
    with pytest.raises(ValueError, match=complaint):
        write_trajectory(frames, np.array([0]), tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_a_file_is_never_half_written(tmp_path, monkeypatch):
    (file,) = write_chains([chain(3)], tmp_path)
    old = file.read_bytes()

    def fail(array, path, name):
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(writing, "_write_pdb", fail)
    with pytest.raises(OSError, match="disk full"):
        write_chains([chain(9)], tmp_path)
    assert file.read_bytes() == old
    assert list(tmp_path.iterdir()) == [file]


def test_writing_again_replaces(tmp_path):
    write_chains([chain(9)], tmp_path)
    (file,) = write_chains([chain(3)], tmp_path)
    assert read(file).array_length() == 12


def test_a_pdb_file_begins_with_a_header(tmp_path):
    """Whose first letter is what mkdssp 4 tells a PDB file by; the code stands in its columns."""
    one = chain(5)
    (file,) = write_chains([one], tmp_path / "a.pdb")
    write_trajectory([one.atoms, one.atoms], one.residues, tmp_path / "t.pdb")
    for each in (file, tmp_path / "t.pdb"):
        first = each.read_text().splitlines()[0]
        assert first == f"{'HEADER    PROTEIN MODEL':62}{'XXXX':18}"
        assert isinstance(next(read_chains(each)), Chain)


def test_names_that_differ_in_case_alone_are_two_files_everywhere(tmp_path):
    """Where file names have no case, the second would replace the first."""
    some = [chain(5, name=name) for name in ("x_A", "x_a", "x_a-2", "X_a")]
    files = write_chains(some, tmp_path / "all")
    assert [file.name for file in files] == ["x_A.pdb", "x_a-3.pdb", "x_a-2.pdb", "X_a-4.pdb"]
    assert len({file.name.casefold() for file in (tmp_path / "all").iterdir()}) == 4
    with pytest.raises(ValueError, match="2 chains are called x_A: each needs its own name"):
        write_chains([some[0], some[0]], tmp_path / "all")
