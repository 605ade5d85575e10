"""Reading: every format, folders and archives alike, and a reason for all that cannot be read."""

import csv
import gzip
import shutil
import zipfile
from itertools import islice

import numpy as np
import pytest
from biotite.structure.io.pdbx import BinaryCIFFile, CIFFile, set_structure
from structures import atom_array, chain, folder_of_chains, models, same, write

from feller.proteins.structure import reading
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.reading import (
    MODELS,
    SUFFIXES,
    Refusal,
    entries,
    read_chains,
    read_entries,
)


def reason(path):
    (found,) = read_chains(path)
    assert isinstance(found, Refusal)
    assert "\n" not in found.reason
    return found.reason


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_the_same(tmp_path, suffix, zipped):
    one = chain(12)
    (found,) = read_chains(write(atom_array({"A": one}), tmp_path / f"1abc{suffix}{zipped}"))
    assert found.name == "1abc"
    assert same(found, one)


def test_suffixes_are_read_in_any_case(tmp_path):
    file = write(atom_array({"A": chain(3)}), tmp_path / "a.pdb")
    (found,) = read_chains(shutil.move(file, tmp_path / "B.PDB"))
    assert found.name == "B"


def test_chains_are_named(tmp_path):
    file = write(atom_array({"H": chain(4), "L": chain(5)}), tmp_path / "1igt.cif")
    assert [(c.name, len(c)) for c in read_chains(file)] == [("1igt_H", 4), ("1igt_L", 5)]


@pytest.mark.parametrize("archive", [False, True], ids=["folder", "zip"])
def test_folders_and_archives_are_read_in_order(tmp_path, archive):
    folder = folder_of_chains(tmp_path / "all", [chain(5, name=n) for n in ("b", "a")])
    folder_of_chains(folder / "deep", [chain(6, name="c")], ".pdb.gz")
    (folder / "README.txt").write_text("not a structure")
    (folder / ".hidden.pdb").write_text("not one either")
    source = folder
    if archive:
        source = tmp_path / "all.zip"
        with zipfile.ZipFile(source, "w") as target:
            for file in folder.rglob("*.*"):
                target.write(file, file.relative_to(folder).as_posix())
    assert [(c.name, len(c)) for c in read_chains(source)] == [("a", 5), ("b", 5), ("deep/c", 6)]


def test_what_cannot_be_read_hides_nothing_else(tmp_path):
    folder_of_chains(tmp_path, [chain(5, name="a"), chain(5, name="z")])
    (tmp_path / "broken.bcif").write_bytes((tmp_path / "a.bcif").read_bytes()[:500])
    (tmp_path / "empty.pdb").write_bytes(b"")
    (tmp_path / "garbled.cif").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "table.cif").write_text("data_x\nloop_\n_atom_site.id\n_atom_site.x\n1\n")
    (tmp_path / "unzipped.pdb.gz").write_bytes(b"ATOM")
    (tmp_path / "water.pdb").write_text(
        "HETATM    1  O   HOH A   1      11.104   6.134  -6.504  1.00  0.00           O\n"
    )
    (tmp_path / "stars.pdb").write_text(
        "ATOM      2  CA  ALA A   1    ********   6.071  -5.147  1.00  0.00           C\n"
    )
    found = list(read_chains(tmp_path))
    assert [c.name for c in found if isinstance(c, Chain)] == ["a", "z"]
    refusals = {r.name: r for r in found if isinstance(r, Refusal)}
    broken = {"broken", "empty", "garbled", "table", "unzipped", "water", "stars"}
    assert refusals.keys() == broken
    assert all(r.reason and "\n" not in r.reason for r in refusals.values())
    assert refusals["water"].kind == "not protein"
    assert refusals["broken"].kind == "unreadable"
    assert "no ATOM records" in refusals["empty"].reason
    assert "********" in refusals["stars"].reason


def test_an_archive_may_be_damaged_in_part(tmp_path):
    folder = folder_of_chains(tmp_path / "all", [chain(5, name=n) for n in "ab"])
    source = tmp_path / "all.zip"
    with zipfile.ZipFile(source, "w") as target:
        for name in "ab":
            target.write(folder / f"{name}.bcif", f"{name}.bcif")
    data = bytearray(source.read_bytes())
    data[200] ^= 255
    source.write_bytes(data)
    first, second = read_chains(source)
    assert (first.name, first.kind) == ("a", "unreadable")
    assert second.name == "b"
    source.write_bytes(data[:300])
    assert "not a readable archive" in reason(source)
    data[data.index(b"PK\x01\x02") + 6] = 99  # of a version of zip that is not known
    source.write_bytes(data)
    assert "not a readable archive: zip file version" in reason(source)


def test_reasons_for_paths(tmp_path):
    assert reason(tmp_path / "none.pdb") == "no such file or folder"
    (tmp_path / "notes.txt").write_text("x")
    assert reason(tmp_path / "notes.txt").startswith("expected a name that ends in one of .pdb")
    assert reason(tmp_path).startswith("holds no files .pdb")


@pytest.mark.parametrize("suffix", [".pdb", ".cif", ".bcif"])
def test_of_several_models_the_first_is_read_aloud(suffix, tmp_path):
    array = atom_array({"A": chain(3)})
    file = write(models(array, array, array), tmp_path / f"a{suffix}")
    found, passed = read_chains(file)
    assert same(found, chain(3))
    assert passed == Refusal("a", "2 of its 3 models: the first is read", MODELS)


@pytest.mark.parametrize("kind", [CIFFile, BinaryCIFFile])
def test_blocks_of_a_file_are_structures(kind, tmp_path):
    file = kind()
    water = atom_array({"W": chain(1)})
    water.res_name[:] = "HOH"
    two = atom_array({"A": chain(4), "B": chain(5)})
    for name, array in (("d0", atom_array({"A": chain(3)})), ("d1", two), ("d2", water)):
        set_structure(file, array, data_block=name)
    path = tmp_path / ("a.cif" if kind is CIFFile else "a.bcif")
    file.write(path)
    *chains, other = read_chains(path)
    assert [(c.name, len(c)) for c in chains] == [("a_d0", 3), ("a_d1_A", 4), ("a_d1_B", 5)]
    assert (other.name, other.kind) == ("a_d2", "not protein")


def test_blocks_of_one_name_are_refused(tmp_path):
    file = write(atom_array({"A": chain(3)}), tmp_path / "a.cif")
    file.write_text(file.read_text() * 2)
    assert "two of its data blocks have one name" in reason(file)


def test_the_pdb_record_may_be_of_any_encoding(tmp_path):
    file = write(atom_array({"A": chain(3)}), tmp_path / "a.pdb")
    file.write_bytes("REMARK  1 Müller\n".encode("latin-1") + file.read_bytes())
    assert same(next(read_chains(file)), chain(3))


def test_gzip_within_an_archive(tmp_path):
    file = write(atom_array({"A": chain(3)}), tmp_path / "a.bcif")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr("a.bcif.gz", gzip.compress(file.read_bytes()))
    assert same(next(read_chains(tmp_path / "a.zip")), chain(3))


@pytest.mark.slow
def test_real_chains_are_those_of_their_index(data_root):
    root = data_root / "proteins"
    with (root / "index.csv").open(newline="") as stream:
        index = {row["id"]: row for row in csv.DictReader(stream)}
    some = entries(root / "pdb_backbone_40_256.bcif.zip")
    assert len(some) == len(index)
    for found in islice(read_entries(some[::10]), 1000):
        row = index[found.name]
        assert found.sequence == row["sequence"]
        assert found.index[0] == int(row["start_resnum"])
        assert not np.isnan(found.atoms).any()
        ca = found.atoms[:, 1]
        spread = np.sqrt(((ca - ca.mean(axis=0)) ** 2).sum(axis=-1).mean())
        assert spread == pytest.approx(float(row["rg_ca"]), abs=0.02)


@pytest.mark.slow
def test_real_structures_with_side_chains(data_root):
    root = data_root / "proteins"
    with (root / "index_allatom.csv").open(newline="") as stream:
        index = {row["id"]: row for row in csv.DictReader(stream)}
    found = list(read_chains(root / "pdb_allatom_40_256.bcif.zip"))
    assert {c.name: c.sequence for c in found} == {i: row["sequence"] for i, row in index.items()}


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"# M\xfcller\n"])
def test_letters_of_old_hide_no_table(before, tmp_path):
    file = write(atom_array({"A": chain(5)}), tmp_path / "a.cif")
    file.write_bytes(before + file.read_bytes())
    (found,) = read_chains(file)
    assert same(found, chain(5))


def test_gzip_is_known_by_what_it_is(tmp_path):
    file = write(atom_array({"A": chain(5)}), tmp_path / "a.pdb.gz").rename(tmp_path / "a.pdb")
    (found,) = read_chains(file)
    assert same(found, chain(5))


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "SMALL", 2**16)
    data = b"REMARK" + b" " * 2**20
    (tmp_path / "a.pdb.gz").write_bytes(gzip.compress(data))
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.pdb", data)
    for name in ("a.pdb.gz", "b.zip"):
        assert "unpacks to more than" in reason(tmp_path / name)
