"""Protein data: parts of chains in rows of one length, families in turn, nothing held out seen."""

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from folds import regular
from structures import chain, folder_of_chains

from feller.core.config import decode, encode
from feller.core.training import Dataset
from feller.proteins.data.dataset import ProteinData
from feller.proteins.data.filters import Filters
from feller.proteins.data.shards import DataError
from feller.proteins.structure.writing import write_chains

ALL = Filters(min_length=1, max_gyration=100.0, max_coil=1.0)
LENGTHS = (20, 23, 31, 32, 47, 48, 60, 61)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight chains, of three families: 0 1 2 3, 4 5, and two of their own."""
    root = tmp_path_factory.mktemp("proteins")
    made = [chain(n, name=f"c{i}", seed=i, first=1000 * i) for i, n in enumerate(LENGTHS)]
    folder_of_chains(root / "all", made)
    rows = [f"c{i},{'first' if i < 4 else 'second'}" for i in range(6)]
    (root / "index.csv").write_text("\n".join(["id,homology_group", *rows]) + "\n")
    return root


@pytest.fixture
def data(folder):
    return ProteinData(
        path=str(folder / "all"),
        filters=ALL,
        test_fraction=0.0,
        crop=50,
        cache=str(folder / "cache"),
    )


def names(parts):
    return [parts.name(i) for i in range(len(parts))]


def test_a_batch_is_of_one_length(data):
    parts = data.build()
    assert isinstance(parts, Dataset)
    for length in parts.groups.unique().tolist():
        indices = (parts.groups == length).nonzero()[:, 0].tolist()
        batch = parts[indices]
        assert batch["atoms"].shape == (len(indices), length, 4, 3)
        assert batch["residues"].shape == batch["index"].shape == (len(indices), length)
        assert batch["atoms"].dtype == torch.float32
        assert batch["residues"].dtype == batch["index"].dtype == torch.int64
        assert not batch["atoms"].isnan().any()


def test_lengths_are_cut_to_the_crop_and_the_width(data):
    parts = data.build()
    cut = dict(zip(names(parts), parts.groups.tolist(), strict=True))
    assert cut == dict(zip(cut, (20, 20, 28, 32, 44, 48, 48, 48), strict=True))
    fine = replace(data, width=1).build()
    assert fine.groups.tolist()[:8] == [20, 23, 31, 32, 47, 48, 50, 50]


def test_items_are_what_stands_in_their_chains(data):
    parts = data.build()
    for i in range(0, len(parts), 7):
        whole = parts.shards[int(parts.chains[i])]
        batch = parts[[i]]
        first = int(batch["index"][0, 0]) - int(whole.index[0])
        rows = slice(first, first + int(parts.groups[i]))
        assert 0 <= first <= len(whole) - int(parts.groups[i])
        assert np.array_equal(batch["index"][0], whole.index[rows])
        assert np.array_equal(batch["residues"][0], whole.residues[rows])
        assert np.array_equal(batch["atoms"][0], whole.atoms[rows])


def test_every_position_of_a_chain_is_seen(data):
    parts = replace(data, rounds=400).build()
    starts = Counter(parts.starts[[n == "c7" for n in names(parts)]].tolist())
    assert sorted(starts) == list(range(14))
    expected = 400 / 14
    statistic = sum((count - expected) ** 2 / expected for count in starts.values())
    assert statistic < 34.5  # chi-square with 13 degrees of freedom, 0.1%


def test_long_chains_may_be_dropped(data):
    assert set(names(replace(data, long="drop").build())) == {f"c{i}" for i in range(6)}


def test_chains_shorter_than_the_width_are_left_out(data):
    parts = replace(data, width=25).build()
    assert set(names(parts)) == {f"c{i}" for i in range(2, 8)}
    assert set(parts.groups.tolist()) == {25, 50}


def test_families_count_alike_and_members_take_turns(data, folder):
    parts = replace(data, clusters=str(folder / "index.csv"), rounds=8).build()
    families = {f"c{i}": "first" if i < 4 else "second" if i < 6 else f"c{i}" for i in range(8)}
    for turn in range(8):
        some = [families[name] for name in names(parts)[4 * turn : 4 * turn + 4]]
        assert some == ["first", "second", "c6", "c7"]
    assert Counter(names(parts)) == {
        **dict.fromkeys(("c0", "c1", "c2", "c3"), 2),
        **dict.fromkeys(("c4", "c5"), 4),
        **dict.fromkeys(("c6", "c7"), 8),
    }


def test_all_is_a_function_of_the_seed(data, folder):
    clustered = replace(data, clusters=str(folder / "index.csv"))
    first, again = clustered.build(), clustered.build()
    other = replace(clustered, seed=1).build()
    assert np.array_equal(first.chains, again.chains)
    assert np.array_equal(first.starts, again.starts)
    assert not np.array_equal(first.starts, other.starts)


def test_what_is_held_out_is_whole_families(data, folder):
    clustered = replace(data, clusters=str(folder / "index.csv"))
    seen = []
    for share in (0.1, 0.3, 0.4, 0.6):
        train, test = (set(names(_build(clustered, share, s)) or ()) for s in ("train", "test"))
        assert not train & test
        assert train | test == {f"c{i}" for i in range(8)}
        assert len(train & {"c0", "c1", "c2", "c3"}) in (0, 4)
        seen.append(test)
    assert seen[0] <= seen[1] <= seen[2] <= seen[3]
    assert seen[0] != seen[3]


def _build(data, share, split):
    return replace(data, test_fraction=share).build(split)


def test_the_test_split_has_each_chain_once(data, tmp_path):
    (tmp_path / "test.txt").write_text("c1\nc2\nc3\n")
    split = replace(data, test_ids=str(tmp_path / "test.txt"))
    assert names(split.build("test")) == ["c1", "c2", "c3"]
    assert set(names(split.build())) == {"c0", "c4", "c5", "c6", "c7"}


def test_files_say_what_is_held_out(data, tmp_path):
    (tmp_path / "train.txt").write_text("c0 c1\n")
    (tmp_path / "test.txt").write_text("c2\n")
    train = replace(data, train_ids=str(tmp_path / "train.txt"))
    assert set(names(train.build())) == {"c0", "c1"}
    assert len(names(train.build("test"))) == 6
    both = replace(train, test_ids=str(tmp_path / "test.txt"))
    assert set(names(both.build())) == {"c0", "c1"}
    assert names(both.build("test")) == ["c2"]


def test_names_in_lists_have_no_folders(folder, tmp_path):
    deep = tmp_path / "deep"
    folder_of_chains(deep / "ab", [chain(20, name="1abc")])
    (tmp_path / "ids.txt").write_text("1abc\n")
    data = ProteinData(
        path=str(deep), filters=ALL, train_ids=str(tmp_path / "ids.txt"), cache=str(tmp_path / "c")
    )
    assert set(names(data.build())) == {"ab/1abc"}


def test_parts_go_to_other_processes(data):
    parts = data.build()
    copy = pickle.loads(pickle.dumps(parts))
    assert copy[[3]]["atoms"].equal(parts[[3]]["atoms"])


def test_a_changed_source_is_read_again(tmp_path):
    source = folder_of_chains(tmp_path / "all", [chain(20, name="a")])
    data = ProteinData(
        path=str(source), filters=ALL, test_fraction=0.0, cache=str(tmp_path / "cache")
    )
    assert len(data.shards()) == 1
    folder_of_chains(source, [chain(20, name="b")])
    assert len(data.shards()) == 2
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_other_cuts_share_a_cache(data, folder):
    data.build()
    before = sorted((folder / "cache").iterdir())
    replace(data, crop=24, width=8, seed=3, rounds=2, long="drop").build()
    assert sorted((folder / "cache").iterdir()) == before


def test_errors_say_what_is_wrong(data, tmp_path):
    with pytest.raises(DataError, match=r"give --data\.path"):
        ProteinData().build()
    with pytest.raises(DataError, match="no such file or folder"):
        replace(data, path=str(tmp_path / "none")).build()
    with pytest.raises(DataError, match=r"ids\.txt is not a readable list"):
        replace(data, train_ids=str(tmp_path / "ids.txt")).build()
    with pytest.raises(DataError, match=r"a\.csv is not a readable \.csv"):
        replace(data, clusters=str(tmp_path / "a.csv")).build()
    (tmp_path / "a.csv").write_text("id,group\nc0,1\n")
    with pytest.raises(DataError, match="no column 'homology_group'"):
        replace(data, clusters=str(tmp_path / "a.csv")).build()
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(DataError, match=r"a\.csv names no chain"):
        replace(data, clusters=str(tmp_path / "a.csv")).build()
    with pytest.raises(DataError, match="no chain of all is in the test split"):
        data.build("test")
    with pytest.raises(ValueError, match=r"of one group; these items have \[20, 28\]"):
        data.build()[[0, 2]]


@pytest.mark.parametrize(
    "options", [{"width": 0}, {"width": 9, "crop": 8}, {"rounds": 0}, {"test_fraction": 1.0}]
)
def test_senseless_sizes_are_refused(options):
    with pytest.raises(ValueError, match=r"width|rounds|test_fraction"):
        ProteinData(**options)


def test_data_survive_json(data):
    assert decode(encode(data)) == data
    assert data.source == "all"


@pytest.mark.slow
def test_real_data(data_root, tmp_path):
    root = data_root / "proteins"
    real = ProteinData(
        path=str(root / "pdb_backbone_40_256.bcif.zip"),
        train_ids=str(root / "train_ids.txt"),
        test_ids=str(root / "val_ids.txt"),
        clusters=str(root / "index.csv"),
        crop=128,
        workers=2,
        cache=str(tmp_path),
    )
    train, test = real.build(), real.build("test")
    shards = train.shards
    assert sum(shards.counts.values()) == 11_831
    assert 0.8 < shards.counts["taken"] / 11_831 < 0.95
    assert not set(train.chains.tolist()) & set(test.chains.tolist())
    assert len(test) > 500
    step = np.concatenate([c.steps for c in shards])
    assert step.mean() == pytest.approx(3.80, abs=0.02)


def test_numbers_that_leap_in_a_whole_chain_are_no_gaps(tmp_path):
    """As of a fusion: what networks see goes up by one."""
    whole = replace(regular(40), residues=np.zeros(40, dtype=np.uint8))
    index = np.arange(1, 41) + np.where((np.arange(40) > 9) & (np.arange(40) < 20), 1000, 0)
    write_chains([replace(whole, index=index.astype(np.int32))], tmp_path / "fused")
    data = ProteinData(
        path=str(tmp_path / "fused"), filters=ALL, test_fraction=0.0, cache=str(tmp_path), rounds=1
    )
    seen = data.build()[[0]]["index"]
    assert seen.diff(dim=1).unique().tolist() == [1]
