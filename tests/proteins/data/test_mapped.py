"""Caches that were damaged in any way are read as they were, or refused in one line."""

import json
import shutil
import struct

import numpy as np
import pytest
from structures import chain, folder_of_chains

from feller.proteins.data.dataset import ProteinData
from feller.proteins.data.filters import Filters
from feller.proteins.data.mapped import DataError, map_shard, read_index
from feller.proteins.data.shards import build_shards, open_shards
from feller.proteins.structure.reading import entries

ALL = Filters(min_length=1, max_gyration=100.0, max_coil=1.0)
TOKENS = [b"null", b"-1", b"1e999", b"{}", b"[]", b'""', b"true", b"99999999999999999999", b"NaN"]
TOKENS += [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"../../x", b"\\ud800", b"\xff"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    root = tmp_path_factory.mktemp("fuzz")
    source = folder_of_chains(root / "all", [chain(9 + i, name=f"c{i}") for i in range(3)])
    build_shards(entries(source), root / "cache", ALL)
    return root


def spoilt(data, rng):
    """Bytes with a bit, a byte, a number or a piece of JSON in another's place."""
    made = bytearray(data)
    at = int(rng.integers(min(len(made), 900)))  # headers come first
    kind = rng.integers(5)
    if kind == 0:
        made[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        made[at : at + 8] = struct.pack("<q", int(rng.integers(-(2**63), 2**63)))
    elif kind == 2:
        digits = [i for i, byte in enumerate(made[:900]) if chr(byte).isdigit()]
        made[int(rng.choice(digits or [at]))] = int(rng.integers(48, 58))
    elif kind == 3:
        end = at + int(rng.integers(12))
        made[at:end] = TOKENS[int(rng.integers(len(TOKENS)))]
    else:
        del made[at : at + int(rng.integers(1, 30))]
    return bytes(made)


def read_all(folder):
    """Read all that there is to read."""
    shards = open_shards(folder)
    assert shards is not None
    assert all(len(one.sequence) == len(one) for one in shards)
    assert len(shards.letters) == len(shards.names) == len(shards)
    shards.rows([0], [0], 1)


@pytest.mark.parametrize("file", ["index.json", "00000.json", "00000.safetensors"])
def test_a_cache_of_any_bytes_is_read_or_refused(cache, tmp_path, file):
    rng, folder = np.random.default_rng(0), tmp_path / "cache"
    shutil.copytree(cache / "cache", folder)
    whole, some, refused = (folder / file).read_bytes(), entries(cache / "all"), 0
    for _ in range(250):
        data = spoilt(whole, rng)
        if file.endswith(".safetensors") and rng.random() < 0.9:
            data = (data + whole)[: len(whole)]  # else its size tells all
        (folder / file).write_bytes(data)
        if file == "00000.json":
            (folder / "index.json").unlink(missing_ok=True)
        try:
            read_all(folder) if file != "00000.json" else build_shards(some, folder, ALL)
        except DataError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 60


def test_arrays_that_do_not_fit_each_other_are_refused(cache, tmp_path):
    from safetensors.numpy import load_file, save

    good = load_file(cache / "cache" / "00000.safetensors")
    n = len(good["residues"])
    bad = {
        "ends": np.array([9, 8, n]), "steps": np.array([0.01, np.nan, 0.01], np.float32),
        "index": good["index"][1:], "residues": good["residues"] + np.uint8(40),
        "atoms": good["atoms"][:, :3],
    }  # fmt: skip
    for name, array in bad.items():
        data = save({**good, name: np.ascontiguousarray(array)})
        (tmp_path / "a").write_bytes(data)
        with pytest.raises(DataError, match=r"a is damaged: delete its folder to build it again"):
            map_shard(tmp_path / "a", len(data))


def test_an_index_names_files_of_its_folder_alone(cache, tmp_path):
    index = json.loads((cache / "cache" / "index.json").read_text())
    index["shards"][0][0] = "../cache/00000.safetensors"
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"index\.json is damaged"):
        read_index(tmp_path / "index.json")


def test_a_damaged_cache_is_one_line_of_the_data(cache, tmp_path):
    data = ProteinData(path=str(cache / "all"), filters=ALL, test_fraction=0.0, cache=str(tmp_path))
    data.build()
    for file in tmp_path.rglob("index.json"):
        file.write_text('{"names": 3}')
    with pytest.raises(DataError, match=r"index\.json is damaged: delete its folder"):
        data.build()


def test_an_index_is_not_nested_without_end(cache, tmp_path):
    file = tmp_path / "index.json"
    text = (cache / "cache" / "index.json").read_text()
    file.write_text(f'{{"more": {"[" * 500}{"]" * 500}, {text[1:]}')
    with pytest.raises(DataError, match="is not readable"):
        read_index(file)
