"""Corpora: every kind of place, and one line on what is wrong with it."""

import gzip
import lzma
import sys

import pytest

from feller.text import corpora
from feller.text.corpora import Corpus, DataError, Document, Passage, documents, joined, passages


def read(source, path="", **options):
    return list(documents(source, str(path), **options))


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_a_file_is_unpacked(tmp_path, suffix, pack):
    text = "naïve\r\nlines"
    (tmp_path / "plain.txt").write_bytes(text.encode())
    (tmp_path / f"packed.txt{suffix}").write_bytes(pack(text.encode()))
    assert read("file", tmp_path / "plain.txt") == [Document("plain.txt", text)]
    assert read("file", tmp_path / f"packed.txt{suffix}")[0].text == text


def test_a_file_of_many_documents(tmp_path):
    file = tmp_path / "books.txt"
    file.write_text("one\ftwo\f \f")
    assert read("file", file, separator="\f") == [
        Document("books.txt#0", "one"),
        Document("books.txt#1", "two"),
    ]


def test_a_file_larger_than_a_piece(tmp_path):
    texts = [c * 400_000 for c in "abcdefg"]
    file = tmp_path / "long.txt"
    file.write_text("<sep>".join(texts))
    assert [d.text for d in read("file", file, separator="<sep>")] == texts


@pytest.mark.parametrize("longest", [1, 4, 100])
@pytest.mark.parametrize("separator", ["\f", "aba"])
def test_separators_are_found_over_pieces(separator, longest, monkeypatch):
    """Any text split in pieces of any size, as if it were read whole."""
    monkeypatch.setattr(corpora, "LONGEST", longest)
    for text in ("", "a", "ab\faba\f\fabababa\fb" * 3):
        for size in (1, 2, 3, 5, 100):
            pieces = [text[i : i + size] for i in range(0, len(text), size)]
            parts = [Passage("", *part) for part in corpora._split(pieces, separator)]
            assert [d.text for d in joined(parts)] == text.split(separator)
            assert max(len(part.text) for part in parts) <= longest + size + len(separator)


@pytest.mark.parametrize("separator", ["", "<sep>"])
def test_a_text_larger_than_memory_comes_in_passages(tmp_path, separator, monkeypatch):
    monkeypatch.setattr(corpora, "LONGEST", 64)
    text = " \n" * 80 + "".join(map(str, range(1000))) + " " * 200
    (tmp_path / "long.txt").write_text(text)
    corpus = Corpus(source="file", path=str(tmp_path / "long.txt"), separator=separator)
    parts = list(passages(corpus))
    assert max(len(part.text) for part in parts[1:]) <= 2 * 64
    assert [part.ends for part in parts] == [False] * (len(parts) - 1) + [True]
    assert "".join(part.text for part in parts) == text


def test_a_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.py").write_text("b")
    (tmp_path / "deep" / "a.py").write_text("a")
    (tmp_path / "c.txt").write_text("c")
    (tmp_path / ".hidden.py").write_text("no")
    names = [d.name for d in read("folder", tmp_path, pattern="*.py")]
    assert names == ["b.py", "deep/a.py"]


def test_the_library_of_python():
    found = {d.name: d.text for d in read("stdlib")}
    assert "class Fraction" in found["fractions.py"]
    assert not [name for name in found if "site-packages" in name or name.startswith("test/")]
    assert sum(map(len, found.values())) > 5e6


def test_the_english_of_the_library(monkeypatch):
    few = [d for d in read("stdlib") if d.name in ("fractions.py", "heapq.py", "this.py")]
    monkeypatch.setattr(corpora, "_library", lambda: [*few, Document("bad.py", "def (")])
    found = {d.name: d.text for d in read("stdlib-docs")}
    assert "Rational" in found["fractions.py"]
    assert "def " not in found["heapq.py"]
    assert not {"this.py", "bad.py"} & set(found)  # nothing is said there
    assert any(name.startswith("topic ") for name in found)
    assert sum(map(len, found.values())) > 3e5


@pytest.mark.parametrize(
    ("source", "path", "reason"),
    [
        ("file", "none.txt", "none.txt is not a file"),
        ("folder", "none", "none is not a folder"),
        ("folder", ".", "has no files"),
        ("file", "latin.txt", "latin.txt is not UTF-8: it holds a byte 0xe9"),
        ("file", "bad.gz", "bad.gz is not readable"),
        ("file", "damaged.gz", "damaged.gz is not readable: Error -3 while decompressing"),
        ("file", "short.gz", "short.gz is not readable"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, source, path, reason):
    (tmp_path / "latin.txt").write_bytes(b"na\xe9ve")
    (tmp_path / "bad.gz").write_bytes(b"no gzip")
    whole = gzip.compress(b"text" * 100)
    (tmp_path / "damaged.gz").write_bytes(whole[:10] + b"\xff" * 8 + whole[18:])
    (tmp_path / "short.gz").write_bytes(whole[:-9])
    with pytest.raises(DataError, match=reason):
        read(source, tmp_path / path, pattern="*.py")


@pytest.mark.parametrize("pattern", ["/tmp/*.txt", "", "a**b"])
def test_what_is_no_pattern_is_said(tmp_path, pattern):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(DataError, match=r"is not a file pattern|is an absolute path|has no files"):
        read("folder", tmp_path, pattern=pattern)


def test_data_sets_need_their_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match="pip install datasets"):
        read("datasets", "wikitext")


def test_a_data_set_is_read_by_its_column(monkeypatch):
    rows = [{"text": "one"}, {"text": "two"}]
    library = type(sys)("datasets")
    library.load_dataset = lambda name, *, split, streaming: rows
    monkeypatch.setitem(sys.modules, "datasets", library)
    assert [d.text for d in read("datasets", "mine")] == ["one", "two"]
    rows.append({"words": "three"})
    with pytest.raises(DataError, match=r"no column 'text' in row 3: give .*, of words"):
        read("datasets", "mine")


def test_what_is_hidden_is_not_read(tmp_path):
    root = tmp_path / ".project"  # where a folder lies does not matter
    for name in ("a.txt", ".git/b.txt", "deep/.cache/deeper/c.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("text")
    assert [d.name for d in read("folder", root)] == ["a.txt"]


@pytest.mark.parametrize("source", ["file", "folder", "datasets"])
def test_a_missing_path_is_said(source):
    with pytest.raises(DataError, match=r"--data\.path is missing: give"):
        read(source)


def test_a_backslash_is_no_new_line(tmp_path):
    """A shell hands on two characters; the file would be one document, without a word."""
    (tmp_path / "a.txt").write_text("one\n\ntwo")
    for source, path in (("file", tmp_path / "a.txt"), ("folder", tmp_path)):
        with pytest.raises(DataError, match=r"has no separator .*a shell takes \$'\\n'"):
            read(source, path, separator="\\n\\n")
    (tmp_path / "b.txt").write_text("one\\two")
    assert len(read("folder", tmp_path, separator="\\")) == 3
