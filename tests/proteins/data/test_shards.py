"""Shards: what went in comes out, and a cache is whole or not there."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from structures import atom_array, chain, folder_of_chains, models, write

from feller.proteins.data import shards as module
from feller.proteins.data.filters import Filters
from feller.proteins.data.shards import DataError, build_shards, digest_of, open_shards
from feller.proteins.structure.reading import entries

ALL = Filters(min_length=1, max_gyration=100.0, max_coil=1.0, max_missing=1.0, max_step=1e9)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Shards of four files."""
    monkeypatch.setattr(module, "PORTION", 4)


@pytest.fixture
def chains():
    return [chain(30 + i, name=f"c{i:02d}", seed=i, first=i) for i in range(10)]


@pytest.fixture
def some(tmp_path, chains):
    return entries(folder_of_chains(tmp_path / "all", chains))


def centred(atoms):
    return atoms - np.nanmean(atoms, axis=(0, 1))


def test_chains_come_back(tmp_path, chains, some):
    built = build_shards(some, tmp_path / "cache", ALL)
    assert len(built) == 10
    assert built.names == tuple(c.name for c in chains)
    assert built.lengths.tolist() == [len(c) for c in chains]
    assert built.counts == {"taken": 10}
    for found, expected in zip(built, chains, strict=True):
        assert found.sequence == expected.sequence
        assert found.index.tolist() == expected.index.tolist()
        shift = found.atoms - expected.atoms
        assert np.ptp(shift, axis=(0, 1)).max() < 1e-4
        assert np.nanmean(found.atoms, axis=(0, 1)) == pytest.approx(np.zeros(3), abs=0.006)


def test_the_error_is_half_a_step(tmp_path, monkeypatch):
    one = chain(50, name="a")
    one.atoms[:] += np.random.default_rng(0).uniform(-1, 1, one.atoms.shape).astype(np.float32)
    monkeypatch.setattr(module, "read_entries", lambda some: [one])
    (found,) = build_shards(entries(tmp_path), tmp_path / "cache", ALL)
    error = np.abs(centred(found.atoms) - centred(one.atoms)).max()
    assert 0.003 < error < 0.0065  # 0.005, and what the centre is off by


def test_long_chains_have_a_longer_step(tmp_path, monkeypatch):
    one = chain(600, name="a")
    one.atoms[:] *= np.float32(1.2)
    assert np.abs(centred(one.atoms)).max() > 500
    monkeypatch.setattr(module, "read_entries", lambda some: [one])
    (found,) = build_shards(entries(tmp_path), tmp_path / "cache", replace(ALL, max_length=999))
    assert np.abs(centred(found.atoms) - centred(one.atoms)).max() < 0.012


def test_missing_atoms_stay_missing(tmp_path):
    one = chain(30, name="a")
    one.atoms[3, 3] = one.atoms[7, 3] = np.nan  # oxygens: of the others see below
    some = entries(folder_of_chains(tmp_path / "all", [one]))
    built = build_shards(some, tmp_path / "cache", ALL)
    assert np.array_equal(np.isnan(built[0].atoms), np.isnan(one.atoms))
    atoms, _, _ = built.rows([0, 0], [2, 6], 3)
    assert np.argwhere(np.isnan(atoms[..., 0])).tolist() == [[0, 1, 3], [1, 1, 3]]


def test_rows_are_parts(tmp_path, some):
    built = build_shards(some, tmp_path / "cache", ALL)
    which, starts = [7, 0, 9, 7], [0, 4, 19, 17]
    atoms, residues, index = built.rows(which, starts, 20)
    assert atoms.shape == (4, 20, 4, 3)
    for row, (i, start) in enumerate(zip(which, starts, strict=True)):
        whole = built[i]
        assert np.array_equal(atoms[row], whole.atoms[start : start + 20])
        assert np.array_equal(residues[row], whole.residues[start : start + 20])
        assert np.array_equal(index[row], whole.index[start : start + 20])


def test_what_is_refused_is_listed(tmp_path, some):
    (tmp_path / "all" / "c03.bcif").write_bytes(b"nothing")
    built = build_shards(some, tmp_path / "cache", replace(ALL, min_length=32))
    assert built.counts == {"taken": 7, "too short": 2, "unreadable": 1}
    lines = (tmp_path / "cache" / "refusals.txt").read_text().splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["c00", "too short"],
        ["c01", "too short"],
        ["c03", "unreadable"],
    ]


def test_a_structure_of_several_models_is_taken_and_counted(tmp_path):
    array = atom_array({"A": chain(40)})
    write(models(array, array), tmp_path / "a.bcif")
    built = build_shards(entries(tmp_path / "a.bcif"), tmp_path / "cache", ALL)
    assert built.counts == {"taken": 1, "of several models": 1}
    assert built.refused == []
    lines = (tmp_path / "cache" / "refusals.txt").read_text().splitlines()
    assert [line.split("\t")[:2] for line in lines] == [["a", "of several models"]]


def test_a_shard_may_be_empty(tmp_path, some):
    built = build_shards(some, tmp_path / "cache", replace(ALL, min_length=36))
    assert built.names == ("c06", "c07", "c08", "c09")
    assert [len(c) for c in built] == [36, 37, 38, 39]


@pytest.mark.parametrize("fails_at", ["c05", "index.json"])
def test_an_interrupted_build_goes_on(tmp_path, some, monkeypatch, fails_at):
    folder = tmp_path / "cache"
    seen = []
    read, write = module.read_entries, module._write

    def reading(portion):
        seen.extend(entry.name for entry in portion)
        if fails_at in seen:
            raise KeyboardInterrupt
        return read(portion)

    def writing(file, data):
        if file.name == fails_at:
            raise KeyboardInterrupt
        write(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_entries", reading)
        patch.setattr(module, "_write", writing)
        with pytest.raises(KeyboardInterrupt):
            build_shards(some, folder, ALL)
    assert open_shards(folder) is None
    again = []
    monkeypatch.setattr(module, "read_entries", lambda part: again.extend(part) or read(part))
    assert len(build_shards(some, folder, ALL)) == 10
    assert len(again) == (6 if fails_at == "c05" else 0)
    assert not list(folder.glob(".*"))


def test_the_second_time_nothing_is_read(tmp_path, some, monkeypatch):
    build_shards(some, tmp_path / "cache", ALL)
    monkeypatch.setattr(module, "read_entries", None)
    opened = open_shards(tmp_path / "cache")
    assert opened is not None
    assert len(opened) == 10


def test_several_processes_build_the_same(tmp_path, some):
    build_shards(some, tmp_path / "one", ALL)
    build_shards(some, tmp_path / "two", ALL, workers=2)
    files = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert files == sorted(p.name for p in (tmp_path / "two").iterdir())
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_shards_go_to_other_processes_as_a_folder(tmp_path, some):
    built = build_shards(some, tmp_path / "cache", ALL)
    data = pickle.dumps(built)
    assert len(data) < 1000
    assert np.array_equal(pickle.loads(data)[4].atoms, built[4].atoms)


def test_the_files_are_mapped(tmp_path, some):
    built = build_shards(some, tmp_path / "cache", ALL)
    base = built[0].residues
    while not isinstance(base, np.memmap):
        base = base.base
    assert str(base.filename).endswith("00000.safetensors")


def test_shards_are_safetensors(tmp_path, some, chains):
    from safetensors.numpy import load_file

    build_shards(some, tmp_path / "cache", ALL)
    arrays = load_file(tmp_path / "cache" / "00002.safetensors")
    assert arrays["ends"].tolist() == [38, 77]
    assert arrays["residues"].tolist() == [*chains[8].residues, *chains[9].residues]


def test_a_damaged_cache_is_refused(tmp_path, some):
    folder = tmp_path / "cache"
    build_shards(some, folder, ALL)
    file = folder / "00001.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"00001\.safetensors is damaged: delete its folder"):
        open_shards(folder)
    (folder / "index.json").write_text("{")
    with pytest.raises(DataError, match=r"index\.json is not readable"):
        open_shards(folder)


def test_nothing_to_learn_from(tmp_path, some):
    with pytest.raises(DataError, match=r"10 too short\); the first is c00: 30 residues, fewer"):
        build_shards(some, tmp_path / "cache", replace(ALL, min_length=100))
    missing = entries(tmp_path / "none.zip")
    with pytest.raises(DataError, match=r"none\.zip: no such file"):
        build_shards(missing, tmp_path / "other", ALL)
    assert open_shards(tmp_path / "cache") is None


def test_digests_tell_caches_apart(tmp_path, some):
    first = digest_of(some, ALL)
    assert digest_of(entries(tmp_path / "all"), ALL) == first
    assert digest_of(some, replace(ALL, max_coil=0.5)) != first
    assert digest_of(some[1:], ALL) != first
    file = tmp_path / "all" / "c03.bcif"
    file.write_bytes(file.read_bytes() + b" ")
    assert digest_of(some, ALL) != first


def test_digests_know_the_folders(tmp_path, chains):
    """A folder with another name has chains with other names: they were those of before."""
    root = tmp_path / "all"
    for name, one in (("p", chains[0]), ("q", chains[1])):
        folder_of_chains(root / name, [replace(one, name="x")])
    first, built = entries(root), digest_of(entries(root), ALL)
    (root / "q").rename(root / "z")
    assert [entry.name for entry in entries(root)] == ["p/x", "z/x"] != [e.name for e in first]
    assert digest_of(entries(root), ALL) != built
    (root / "z").rename(root / "q")
    assert digest_of(entries(root), ALL) == built
    moved = root.rename(tmp_path / "elsewhere")
    assert digest_of(entries(moved), ALL) == built


def test_the_index_is_plain_json(tmp_path, some):
    build_shards(some, tmp_path / "cache", ALL)
    index = json.loads((tmp_path / "cache" / "index.json").read_text())
    assert index.keys() == {"counts", "shards", "names", "letters"}


def test_a_residue_without_a_frame_is_a_gap(tmp_path):
    one = chain(30)
    one.atoms[4, 0] = np.nan
    one.atoms[9, 3] = np.nan
    shards = build_shards(entries(folder_of_chains(tmp_path / "one", [one])), tmp_path / "c", ALL)
    assert shards[0].index.tolist() == [i for i in one.index if i != one.index[4]]
    assert np.isnan(shards[0].atoms[8, 3]).all()
    assert not np.isnan(shards[0].atoms[:, :3]).any()
