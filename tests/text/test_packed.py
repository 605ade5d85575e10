"""Packed files: what comes out, and how much may."""

import bz2
import gzip
import lzma

import pytest

from feller.text import packed
from feller.text.corpora import documents
from feller.text.packed import DataError, open_text

PACKS = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
every_pack = pytest.mark.parametrize("suffix", PACKS)


@every_pack
def test_what_was_packed_comes_out(tmp_path, suffix):
    text = "naïve\r\nlines" * 1000
    (tmp_path / f"a.txt{suffix}").write_bytes(PACKS[suffix](text.encode()))
    with open_text(tmp_path / f"a.txt{suffix}") as stream:
        assert stream.read() == text


@every_pack
@pytest.mark.parametrize("separator", ["", "\f"])
def test_a_bomb_is_refused(tmp_path, suffix, separator, monkeypatch):
    monkeypatch.setattr(packed, "SMALL", 2**20)
    file = tmp_path / f"a.txt{suffix}"
    file.write_bytes(PACKS[suffix](b"0" * (2**20 + 1000 * 1100)))
    with pytest.raises(DataError, match="unpacks to more than 100 times its size and 1 MiB"):
        list(documents("file", str(file), separator=separator))


@every_pack
def test_a_table_that_is_a_bomb_is_refused(tmp_path, suffix, monkeypatch):
    """A single line, which would be read whole."""
    monkeypatch.setattr(packed, "SMALL", 2**20)
    for kind, start in ((".csv", b"text\n"), (".jsonl", b'{"text": "'), (".json", b"[")):
        file = tmp_path / f"a{kind}{suffix}"
        file.write_bytes(PACKS[suffix](start + b"0" * (2**20 + 1000 * 1100)))
        with pytest.raises(DataError, match="unpacks to more than 100 times its size"):
            list(documents("file", str(file)))


@pytest.mark.parametrize(("most", "fits"), [(300_000, True), (299_999, False)])
def test_the_limit_is_what_is_said(tmp_path, most, fits, monkeypatch):
    monkeypatch.setattr(packed, "SMALL", most)
    monkeypatch.setattr(packed, "EXPANSION", 1)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"0" * 300_000))
    try:
        found = [d.text for d in documents("file", str(tmp_path / "a.txt.gz"))]
    except DataError:
        found = []
    assert (found == ["0" * 300_000]) == fits


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress)])
def test_a_mark_of_byte_order_is_no_text(tmp_path, suffix, pack):
    file = tmp_path / f"a.txt{suffix}"
    file.write_bytes(pack("\ufeffTo\r\nbe \ufeff".encode()))
    with open_text(file) as stream:
        assert stream.read() == "To\r\nbe \ufeff"


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress)])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_of_another_width_is_refused(tmp_path, suffix, pack, encoding):
    """Without its mark UTF-16 of plain letters is valid UTF-8, of twice the length."""
    file = tmp_path / f"a.txt{suffix}"
    file.write_bytes(pack("To be".encode(encoding)))
    with pytest.raises(DataError, match="holds NUL bytes: it is UTF-16"), open_text(file) as stream:
        stream.read()
