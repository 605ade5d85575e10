"""Text in shards: documents from the disk and the web, cut like any corpus."""

import pytest
import webs

from feller.text.data import DataError, TextData
from feller.text.shards import shard_texts


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "web"
    folder.mkdir()
    webs.write_shard(folder / "a0.tar", {"x": {"txt": b"first"}, "y": {"txt": "zwölf".encode()}})
    webs.write_shard(folder / "a1.tar", {"z": {"json": b'{"body": "third"}'}})
    return folder


def test_documents_come_in_order(home):
    assert list(shard_texts(str(home), "body")) == [
        ("a0.tar#0", "first"), ("a0.tar#1", "zwölf"), ("a1.tar#0", "third"),
    ]  # fmt: skip


def test_shards_of_the_web_are_cut_as_those_of_the_disk(home, tmp_path):
    def ids(path):
        data = TextData(source="shards", path=path, column="body", length=4, test_fraction=0.0,
                        has_end=True, cache=str(tmp_path / "ids"))  # fmt: skip
        return data.build().ids.tolist()

    with webs.serving(home) as (url, _):
        assert ids(str(home)) == ids(f"{url}/a{{0..1}}.tar")
    whole = [*b"first", 256, *"zwölf".encode(), 256, *b"third", 256]
    assert ids(str(home)) == whole
    webs.write_shard(home / "a1.tar", {"z": {"txt": b"other"}})
    assert ids(str(home)) == [*whole[:13], *b"other", 256]  # cut anew


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ({"json": b'{"body": 3}'}, "a0.tar#0 has no text, but json"),
        ({"json": b'{"text": "x"}'}, "no column 'body'"),
        ({"json": b"["}, "no column 'body'"),
        ({"png": b""}, "has no text, but png"),
        ({"txt": b"\xff"}, "is not UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(sample, reason, home):
    webs.write_shard(home / "a0.tar", {"x": sample})
    with pytest.raises(DataError, match=reason):
        list(shard_texts(str(home / "a0.tar"), "body"))


@pytest.mark.parametrize("pattern", ["*.tar", "a{0..1}.tar"])
def test_a_shard_that_is_held_out_is_not_trained_on(home, pattern):
    data = TextData(source="shards", path=str(home / pattern), test_path=str(home / "a1.tar"))
    with pytest.raises(DataError, match=r"a1\.tar is held out, and trained on"):
        next(data.texts("test"))


def test_a_mark_of_byte_order_is_no_text(home):
    webs.write_shard(home / "a0.tar", {"x": {"txt": b"\xef\xbb\xbffirst"}})
    assert next(shard_texts(str(home), "body")) == ("a0.tar#0", "first")


def test_half_a_character_is_refused(home):
    webs.write_shard(home / "a0.tar", {"x": {"json": b'{"body": "x\\udc80y"}'}})
    with pytest.raises(DataError, match=r"a0\.tar#0 is not text: it has U\+DC80, half a character"):
        list(shard_texts(str(home), "body"))
