"""Text data: windows of what was written, and nothing held out among them."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers

from feller.core.config import decode, encode
from feller.core.training import Dataset
from feller.core.training.fingerprints import difference, fingerprint
from feller.text import corpora
from feller.text.corpora import DataError
from feller.text.data import TextData
from feller.text.tokenizers import Bytes, Characters, Pieces, TokenizerError


@pytest.fixture
def corpus(tmp_path):
    """A folder of 40 documents, each of one letter."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i}.txt").write_text(chr(ord("a") + i % 26) * 10)
    return folder


@pytest.fixture
def data(corpus, tmp_path):
    return TextData(
        source="folder",
        path=str(corpus),
        length=8,
        held_out="documents",
        test_fraction=0.3,
        cache=str(tmp_path / "cache"),
    )


def one_file(tmp_path, text, **options):
    file = tmp_path / "one.txt"
    file.write_text(text)
    return TextData(path=str(file), cache=str(tmp_path / "cache"), **options)


def test_windows_are_what_was_written(tmp_path):
    text = "".join(map(str, range(100)))
    windows = one_file(tmp_path, text, length=16, test_fraction=0.0).build()
    assert isinstance(windows, Dataset)
    assert len(windows) == len(text) - 15
    ids, fingerprint = windows[[0, 5, len(windows) - 1]]
    assert ids.dtype == torch.int64
    assert [Bytes().decode(row) for row in ids.tolist()] == [text[:16], text[5:21], text[-16:]]
    assert fingerprint == Bytes().fingerprint()


def test_a_stride_makes_fewer_windows(tmp_path):
    data = one_file(tmp_path, "abcdefghij", length=4, stride=3, test_fraction=0.0)
    windows = data.build()
    assert [Bytes().decode(row) for row in windows[[0, 1, 2]][0].tolist()] == [
        "abcd",
        "defg",
        "ghij",
    ]
    assert len(windows) == 3


def test_the_tail_is_held_out(tmp_path):
    data = one_file(tmp_path, "a" * 90 + "b" * 10, length=10)
    assert set(np.asarray(data.build("train").ids)) == {ord("a")}
    assert bytes(np.asarray(data.build("test").ids).astype(np.uint8)) == b"b" * 10


def test_the_tail_of_many_documents(tmp_path):
    data = one_file(
        tmp_path, "aaaa bbbb cccc", length=1, separator=" ", test_fraction=0.5, has_end=True
    )
    assert [d.text for d in data.texts("train")] == ["aaaa", "bb"]
    assert [d.text for d in data.texts("test")] == ["bb", "cccc"]
    assert np.asarray(data.build("test").ids).tolist() == [98, 98, 256, 99, 99, 99, 99, 256]


def test_whole_documents_are_held_out(data):
    train, test = (sorted(d.name for d in data.texts(s)) for s in ("train", "test"))
    assert not set(train) & set(test)
    assert len(train) + len(test) == 40
    assert 4 <= len(test) <= 20
    assert len(data.build("train").ids) == 10 * len(train)


def test_what_is_held_out_depends_on_names_alone(data, corpus):
    before = {d.name for d in data.texts("test")}
    (corpus / "new.txt").write_text("new" * 9)
    (corpus / "0.txt").write_text("changed" * 9)
    assert {d.name for d in data.texts("test")} - {"new.txt"} == before


def test_another_file_may_be_held_out(tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("held out")
    data = one_file(tmp_path, "trained on", length=4, test_path=str(other))
    assert [d.text for d in data.texts("train")] == ["trained on"]
    assert [d.text for d in data.texts("test")] == ["held out"]
    assert len(data.build("test").ids) == 8


def test_documents_end(corpus, tmp_path):
    data = TextData(
        source="folder",
        path=str(corpus),
        has_end=True,
        test_fraction=0.0,
        length=11,
        cache=str(tmp_path / "c"),
    )
    ids = np.asarray(data.build().ids)
    assert (ids == 256).sum() == 40
    assert ids[10] == 256
    assert ids.dtype == np.uint16


def test_the_second_time_nothing_is_cut(data, monkeypatch):
    first = np.asarray(data.build().ids)
    monkeypatch.setattr(TextData, "texts", None)
    assert np.array_equal(data.build().ids, first)


def test_a_changed_corpus_is_cut_again(tmp_path):
    options = {"length": 4, "test_fraction": 0.0}
    one_file(tmp_path, "before", **options).build()
    after = one_file(tmp_path, "afterwards", **options).build()
    assert len(after.ids) == len("afterwards")


def test_a_cut_that_fails_leaves_nothing(tmp_path):
    data = one_file(tmp_path, "abc!", tokenizer=Characters("abc"), length=2, test_fraction=0.0)
    with pytest.raises(TokenizerError, match=r"one\.txt: character '!'"):
        data.build()
    left = [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert left == [".lock"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "is empty"), ("abc", "has 3 tokens: a window has 4")],
)
def test_too_little_text_is_refused(tmp_path, text, reason):
    with pytest.raises(DataError, match=reason):
        one_file(tmp_path, text, length=4, test_fraction=0.0).build()


@pytest.mark.parametrize("options", [{"length": 0}, {"stride": 0}, {"test_fraction": 1.0}])
def test_senseless_sizes_are_refused(options):
    with pytest.raises(ValueError, match=r"length and stride|test_fraction"):
        TextData(**options)


def test_data_survive_json(data):
    assert decode(encode(data)) == data


def test_the_library_is_always_there(tmp_path):
    data = TextData(
        source="stdlib", held_out="documents", test_fraction=0.05, length=64, cache=str(tmp_path)
    )
    held_out = list(data.texts("test"))
    size = sum(len(d.text.encode()) for d in held_out)
    assert 1e5 < size < 3e6
    assert len(data.build("test").ids) == size


@pytest.mark.parametrize("source", ["stdlib", "stdlib-docs"])
@pytest.mark.parametrize("options", [{"path": "mine.py"}, {"test_path": "mine.py"}])
def test_the_library_is_no_file_of_ones_own(tmp_path, source, options):
    data = TextData(source=source, cache=str(tmp_path), **options)
    for split in ("train", "test"):
        with pytest.raises(DataError, match=r"the library of this Python, not mine\.py: give --da"):
            data.build(split)


def test_a_file_moved_within_a_folder_is_cut_again(data, corpus):
    before = data.build().ids.tobytes()
    (corpus / "deep").mkdir()
    (corpus / "0.txt").rename(corpus / "deep" / "0.txt")
    names = {d.name for split in ("train", "test") for d in data.texts(split)}
    assert "deep/0.txt" in names
    assert data.build().ids.tobytes() != before


def test_windows_say_whether_documents_end(data):
    plain, ended = (replace(data, has_end=has_end).build() for has_end in (False, True))
    assert plain.cut != ended.cut


def test_a_text_larger_than_memory_is_cut(tmp_path, monkeypatch):
    """Of 6 MB in one document, neither they nor their ids are in memory at once."""
    monkeypatch.setattr(corpora, "LONGEST", 2**16)
    file = tmp_path / "long.txt"
    file.write_text("".join(map(str, range(1_000_000))))
    data = TextData(path=str(file), length=8, cache=str(tmp_path / "cache"))
    tracemalloc.start()
    try:
        windows = {split: data.build(split) for split in ("train", "test")}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3e6
    ids = np.concatenate([windows["train"].ids, windows["test"].ids])
    assert bytes(ids.astype(np.uint8)) == file.read_bytes()
    assert len(windows["test"].ids) == int(0.1 * file.stat().st_size)


@pytest.mark.parametrize("longest", [1, 3, 100])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.99])
@pytest.mark.parametrize("separator", ["", "|"])
def test_what_is_held_out_is_the_same_however_it_is_read(
    tmp_path, longest, share, separator, monkeypatch
):
    """As it was when the text was read whole and cut in two."""
    monkeypatch.setattr(corpora, "LONGEST", longest)
    text = "abcd| |efghij|k|"
    data = one_file(
        tmp_path, text, test_fraction=share, separator=separator, has_end=True, length=1
    )
    parts = [part for part in text.split("|") if part.strip()] if separator else [text]
    left = len("".join(parts)) - int(len("".join(parts)) * share)
    expected = {"train": [], "test": []}
    for part in parts:
        cut = max(0, min(left, len(part)))
        left -= len(part)
        expected["train"] += [part[:cut]] * (cut > 0)
        expected["test"] += [part[cut:]] * (cut < len(part))
    for split, texts in expected.items():
        assert [d.text for d in data.texts(split)] == texts
        if texts:
            ids = [i for part in texts for i in [*part.encode(), 256]]
            assert np.asarray(data.build(split).ids).tolist() == ids


def test_what_a_tokenizer_loses_is_reported_each_time(tmp_path, capsys):
    made = Library(models.WordLevel({"[UNK]": 0, "to": 1, "be": 2}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = Pieces(made.to_str())
    options = {"tokenizer": words, "length": 2, "test_fraction": 0.0}
    lossy = one_file(tmp_path, "to be or not to be", **options)
    for _ in range(2):  # cut, then opened
        lossy.build()
        said = capsys.readouterr().err
        assert said.startswith("one.txt: the tokenizer is lossy on this text: 'or not")
        assert said.endswith("; 2 of 6 ids are unknown\n")
    one_file(tmp_path, "to be to", **options).build()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "options", [{"config": "xx"}, {"split": "validation"}, {"pattern": "*.md"}]
)
def test_what_a_source_does_not_read_is_refused(tmp_path, options):
    file = tmp_path / "a.txt"
    file.write_text("abc" * 30)
    (name,) = options
    with pytest.raises(DataError, match=rf"--data\.{name} .* is for --data\.source"):
        next(TextData(path=str(file), **options).texts())


def test_windows_of_other_text_are_other_data(tmp_path):
    def windows(text):
        (tmp_path / "a.txt").write_text(text)
        return TextData(path=str(tmp_path / "a.txt"), length=4, cache=str(tmp_path / "ids")).build()

    text = "abcd" * 5_000
    first, again = (fingerprint(windows(text)) for _ in range(2))
    other = fingerprint(windows(text[:9_999] + "x" + text[10_000:]))
    assert difference(again, first) == ""
    assert difference(other, first) == "the items themselves are others"
    assert difference(other, {"items": first["items"], "groups": None, "sample": "old"}) == ""
