"""Shards: each sample once an epoch, from files and from the web, the same on all processes."""

import json
import pickle
from itertools import chain, islice

import numpy as np
import pytest
import webs

from feller.core import shards as module
from feller.core.errors import DataError
from feller.core.shards import Shards, find_shards
from feller.core.training.batches import Batches, ProcessRows, order_of

SIZES = (5, 3, 7, 1, 4)


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    number = 0
    for i, size in enumerate(SIZES):
        names = [f"{number + k:05}" for k in range(size)]
        samples = {f"dir/{n}": {"txt": f"text {n}".encode(), "seg.cls": b"1"} for n in names}
        webs.write_shard(folder / f"a-{i:02}.tar", samples)
        number += size
    return folder


def texts(data, indices):
    return [sample["txt"].decode() for sample in data[indices]]


def all_of(where, tmp_path, **more):
    return Shards(find_shards(where, ""), cache=str(tmp_path / "cache"), **more)


def test_samples_are_the_files_of_one_name(home, tmp_path):
    data = all_of(f"{home}/*.tar", tmp_path)
    assert data.chunks.tolist() == list(SIZES)
    assert texts(data, list(range(20))) == [f"text {i:05}" for i in range(20)]
    assert data[[7]][0]["seg.cls"] == b"1"
    assert texts(pickle.loads(pickle.dumps(data)), [19, 0]) == ["text 00019", "text 00000"]


def test_shards_of_the_web_are_those_of_the_disk(home, tmp_path):
    with webs.serving(home) as (url, handler):
        data = all_of(f"{url}/a-{{00..04}}.tar", tmp_path, pool=2)
        assert texts(data, list(range(20))) == [f"text {i:05}" for i in range(20)]
        before = len(handler.asked)
        again = all_of(f"{url}/a-{{00..04}}.tar", tmp_path)
        assert texts(again, [3]) == ["text 00003"]
        assert len(handler.asked) == before == 5  # what is known is not asked again


def test_an_index_tells_the_counts(home, tmp_path, capsys):
    listed = [{"url": f"a-{i:02}.tar", "nsamples": n} for i, n in enumerate(SIZES)]
    (home / "index.json").write_text(json.dumps({"shardlist": listed}))
    with webs.serving(home) as (url, handler):
        for where in (f"{url}/index.json", f"{home}/index.json"):
            data = all_of(where, tmp_path)
            assert data.chunks.tolist() == list(SIZES)
            assert handler.asked == ["/index.json"]  # that of the first
        assert texts(all_of(f"{url}/index.json", tmp_path), [19]) == ["text 00019"]
    assert "counting" not in capsys.readouterr().err
    listed[1]["nsamples"] = 4
    (home / "index.json").write_text(json.dumps({"shardlist": listed}))
    with pytest.raises(DataError, match="has 3 samples, not the 4"):
        all_of(f"{home}/index.json", tmp_path)[[6]]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_an_epoch_has_each_sample_once_on_any_number_of_processes(world, home, tmp_path):
    data = all_of(f"{home}/*.tar", tmp_path, pool=2)
    order = order_of(data, 4, seed=3)
    per_process = [
        list(islice(Batches(order, ProcessRows(4, rank=r, world=world)), 10)) for r in range(world)
    ]
    found = [[*chain(*parts)] for parts in zip(*per_process, strict=True)]
    for epoch in (found[:5], found[5:]):
        assert sorted(texts(data, [*chain(*epoch)])) == [f"text {i:05}" for i in range(20)]
    late = Batches(order_of(data, 4, seed=3), ProcessRows(4), start=7)
    assert list(islice(late, 3)) == found[7:]


def test_the_cache_keeps_what_was_used_last(home, tmp_path):
    most = 3 * (home / "a-02.tar").stat().st_size

    def kept():
        return sum(file.stat().st_size for file in (tmp_path / "cache").glob("*.tar"))

    with webs.serving(home) as (url, handler):
        data = all_of(f"{url}/a-{{00..04}}.tar", tmp_path, most=most)
        assert len(handler.asked) == 5
        for i in (19, 0, 19, 8, 5, 0):
            fresh = Shards(data.shards, cache=data.cache, most=most)
            assert texts(fresh, [i]) == [f"text {i:05}"]
            assert most / 3 <= kept() <= most
        asked = len(handler.asked)
        assert texts(Shards(data.shards, cache=data.cache, most=most), [0]) == ["text 00000"]
        assert len(handler.asked) == asked  # it was used last


def test_the_last_tenth_is_held_out_unless_names_say_what(home, tmp_path):
    train, test = (find_shards(str(home), split) for split in ("train", "test"))
    assert len(train) == 4
    assert [s.name for s in test] == [f"{home}/a-04.tar"]
    assert len(find_shards("http://a/{000..099}.tar", "test")) == 10
    (home / "a-00.tar").rename(home / "test.tar")
    (home / "a-01.tar").rename(home / "train.tar")
    named = [find_shards(f"{home}/{{split}}.tar", split)[0].name for split in ("train", "test")]
    assert named == [f"{home}/train.tar", f"{home}/test.tar"]
    with pytest.raises(DataError, match=r"is one shard, and nothing is held out"):
        find_shards(f"{home}/test.tar", "test")


def test_files_that_are_no_shards_are_refused(home, tmp_path):
    with pytest.raises(DataError, match="names no shards"):
        find_shards(f"{tmp_path}/none/*.tar")
    (home / "a-00.tar").write_bytes(b"no tar")
    with pytest.raises(DataError, match=r"a-00\.tar is not a readable tar file"):
        all_of(f"{home}/*.tar", tmp_path)
    (home / "index.json").write_text('{"shardlist": [{"url": 3}]}')
    with pytest.raises(DataError, match="is not an index of shards"):
        find_shards(f"{home}/index.json")


def test_a_fingerprint_reads_nothing(home, tmp_path, monkeypatch):
    data = all_of(f"{home}/*.tar", tmp_path)
    monkeypatch.setattr(module, "opened_file", lambda name: pytest.fail("read"))
    one = Shards(data.shards, cache=data.cache).fingerprint()
    assert one["items"] == 20
    assert np.array_equal(data.chunks, SIZES)


@pytest.mark.parametrize(
    "notes", ["[1e999, 1, 1, 1, 1]", "[5]", "[" * 5000, "[{}, 3, 7, 1, 4]", "[-5, 3, 7, 1, 4]", ""]
)
def test_shards_are_counted_again_where_what_was_noted_is_damaged(notes, home, tmp_path):
    all_of(f"{home}/*.tar", tmp_path)
    (file,) = (tmp_path / "cache").glob("*.json")
    file.write_text(notes)
    assert all_of(f"{home}/*.tar", tmp_path).chunks.tolist() == list(SIZES)
    assert json.loads(file.read_text()) == list(SIZES)


@pytest.mark.parametrize("count", ["1e999", "-1", "2.5", '"2"', "[" * 5000, "99999999999999999999"])
def test_an_index_with_no_numbers_of_samples_is_one_line(count, home):
    index = home / "index.json"
    index.write_text(f'{{"shardlist": [{{"url": "a-00.tar", "nsamples": {count}}}]}}')
    with pytest.raises(DataError, match="is not an index of shards"):
        find_shards(str(index), "")
