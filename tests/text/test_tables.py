"""Tables of texts: every kind of file, and one line on what is wrong with it."""

import gzip
import json
import sys
from types import SimpleNamespace

import pytest

from feller.text.corpora import DataError, documents
from feller.text.data import TextData
from feller.text.tables import Table

ROWS = [{"text": 'one, "two"\nthree', "n": 1}, {"text": "", "n": 2}, {"text": "naïve", "n": 3}]
CELLS = [["text", "n"], *([row["text"], str(row["n"])] for row in ROWS)]
TEXTS = ['one, "two"\nthree', "naïve"]


def quoted(delimiter):
    cells = (('"' + cell.replace('"', '""') + '"' for cell in row) for row in CELLS)
    return "\r\n".join(delimiter.join(row) for row in cells)


CONTENT = {
    "a.jsonl": "\n".join(map(json.dumps, ROWS)) + "\n\n",
    "a.ndjson": "\n".join(map(json.dumps, ROWS)),
    "a.json": json.dumps(ROWS, indent=1),
    "lines.json": "\n".join(map(json.dumps, ROWS)),
    "a.CSV": quoted(","),
    "a.tsv": quoted("\t"),
}


def read(path, source="file", **table):
    return [d.text for d in documents(source, str(path), table=Table(**table))]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", CONTENT)
def test_the_column_of_the_text_is_read(tmp_path, name, mark):
    (tmp_path / name).write_bytes((mark + CONTENT[name]).encode())
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(CONTENT[name].encode()))
    assert read(tmp_path / name) == TEXTS
    assert read(tmp_path / f"{name}.gz") == TEXTS
    assert read(tmp_path / name, source="datasets") == TEXTS
    assert read(tmp_path, source="folder") == TEXTS * 2


def test_another_column_is_asked_for(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prose": "yes", "text": "no"}')
    (tmp_path / "a.csv").write_text("prose,text\nyes,no\n")
    assert read(tmp_path / "a.jsonl", column="prose") == ["yes"]
    assert read(tmp_path / "a.csv", column="prose") == ["yes"]


@pytest.mark.parametrize("name", CONTENT)
def test_without_a_column_a_file_is_plain_text(tmp_path, name):
    (tmp_path / name).write_bytes(CONTENT[name].encode())
    assert read(tmp_path / name, column="") == [CONTENT[name]]


def test_a_row_is_a_document_whatever_the_separator(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a|b"}')
    found = documents("file", str(tmp_path / "a.jsonl"), separator="|")
    assert [d.text for d in found] == ["a|b"]


def test_a_cell_longer_than_usual(tmp_path):
    (tmp_path / "a.csv").write_text(f"text\n{'x' * 200_000}\n")
    assert read(tmp_path / "a.csv") == ["x" * 200_000]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", '{"prose": "a"}', "no column 'text' in row 1: give --data.column, of prose"),
        ("a.jsonl", '{"text": 3}', "has a int in column 'text' of row 1, no text"),
        ("a.jsonl", '{"text": "a"}\nplain', "a.jsonl, line 2, is no JSON .*--data.column ''"),
        ("a.jsonl", '"plain"', "line 1, is a str, no object with a text"),
        ("a.jsonl", "[" * 100_000, "line 1, is no JSON"),
        ("a.json", "[1, 2]", "is a int, no object with a text"),
        ("a.json", "[{", "a.json is no JSON"),
        ("a.csv", "a,b\nc,d", "no column 'text' in row 1: give --data.column, of a, b"),
        ("a.csv", "text\none, two", "line 2, has 2 cells and its first line 1: quote cells that"),
        ("a.csv", "text,text\na,b", "has two columns 'text'"),
        ("a.csv", "text,n\none", "line 2, has 1 cells and its first line 2"),
        ("a.csv", 'text\n"open', "line 2, is not a row of cells"),
        ("a.tsv", 'text\n"To be" or not', "line 2, is not a row of cells"),
        ("a.parquet", "no parquet", "a.parquet needs a package: pip install pyarrow"),
        (
            "a.arrow",
            "no arrow",
            "a.arrow is not text: give --data.column, or --data.source datasets",
        ),
        ("a.tar.gz", "", r"a\.tar\.gz is an archive \(\.tar\): unpack it"),
        ("a.zip", "", r"a\.zip is an archive \(\.zip\): unpack it"),
        ("a.tgz", "", "unpack it"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, content, reason, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def library(**functions):
    module = type(sys)("datasets")
    for name, function in functions.items():
        setattr(module, name, function)
    return module


def test_a_data_set_has_a_configuration_a_split_and_a_column(monkeypatch):
    asked = []

    def load_dataset(*which, split, streaming):
        asked.append((*which, split, streaming))
        return iter([{"prose": "one"}, {"prose": None}])

    monkeypatch.setitem(sys.modules, "datasets", library(load_dataset=load_dataset))
    assert read("wiki", "datasets", column="prose", config="raw", split="test") == ["one"]
    assert asked == [("wiki", "raw", "test", True)]


def test_what_the_library_says_is_one_line(monkeypatch):
    def load_dataset(name, split, streaming):
        raise ValueError("Config name is missing.\nPick one of:\n['a', 'b']")

    monkeypatch.setitem(sys.modules, "datasets", library(load_dataset=load_dataset))
    with pytest.raises(DataError, match=r"--data\.config.*missing\. Pick one of: \['a'") as caught:
        read("wiki", "datasets")
    assert "\n" not in str(caught.value)


class Saved(list):
    """A single split that was saved."""

    split = "validation"


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_saved_data_set_is_opened_from_its_folder(tmp_path, split, monkeypatch):
    (tmp_path / "state.json").write_text("{}")
    opened = library(load_from_disk=lambda path: Saved([{"text": path}]))
    monkeypatch.setitem(sys.modules, "datasets", opened)
    assert read(tmp_path, "datasets", split=split) == [str(tmp_path)]
    with pytest.raises(DataError, match="is a single split, without 'test'"):
        read(tmp_path, "datasets", split="test")
    with pytest.raises(DataError, match="saved without configurations"):
        read(tmp_path, "datasets", config="raw")
    with pytest.raises(DataError, match=r"give --data\.source datasets"):
        read(tmp_path, "folder")


def test_splits_of_a_saved_data_set(tmp_path, monkeypatch):
    (tmp_path / "dataset_dict.json").write_text("{}")
    splits = {name: [{"text": name * 9}] for name in ("train", "validation")}
    monkeypatch.setitem(sys.modules, "datasets", library(load_from_disk=lambda path: splits))
    data = TextData(
        source="datasets",
        path=str(tmp_path),
        test_split="validation",
        length=4,
        cache=str(tmp_path / "cache"),
    )
    assert [d.text for d in data.texts("train")] == ["train" * 9]
    assert [d.text for d in data.texts("test")] == ["validation" * 9]
    with pytest.raises(DataError, match=r"no split 'test': give --data\.split, of train, valid"):
        read(tmp_path, "datasets", split="test")


def test_another_split_is_for_data_sets(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    data = TextData(path=str(tmp_path / "a.txt"), test_split="test", cache=str(tmp_path))
    with pytest.raises(DataError, match=r"give --data\.test-path"):
        data.build("test")


def test_parquet_is_read_where_its_library_is(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"")

    class File:
        schema_arrow = SimpleNamespace(names=["text", "n"])

        def __init__(self, file):
            pass

        def iter_batches(self, batch_size, columns):
            assert columns == ["text"]
            yield SimpleNamespace(to_pylist=lambda: [{"text": "one"}, {"text": "two"}])

    made = type(sys)("pyarrow")
    made.ArrowException = OSError
    made.parquet = SimpleNamespace(ParquetFile=File)
    monkeypatch.setitem(sys.modules, "pyarrow", made)
    assert read(tmp_path / "a.parquet") == ["one", "two"]


@pytest.mark.parametrize("half", ["\\udc80", "\\ud83d"])
def test_half_a_character_is_refused(tmp_path, half):
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "whole"}\n{"text": "x' + half + 'y"}\n')
    with pytest.raises(DataError, match=r"row 2 is not text: it has U\+D(C80|83D), half a char"):
        list(documents("file", str(file)))
