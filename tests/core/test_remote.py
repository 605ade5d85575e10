"""Files of the web: what passes is tried again, what stays is refused in one line."""

import pytest
import webs

from feller.core import remote
from feller.core.errors import DataError
from feller.core.remote import download, read_remote


@pytest.fixture
def served(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(remote.time, "sleep", waits.append)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "a.bin").write_bytes(b"x" * 100_000)
    with webs.serving(tmp_path / "web") as (url, handler):
        yield f"{url}/a.bin", handler, waits


@pytest.mark.parametrize("fault", ["503", "429", "cut", "drop"])
def test_what_passes_is_tried_again_with_longer_waits(fault, served, tmp_path):
    url, handler, waits = served
    handler.faults[:] = [fault] * 3
    download(url, tmp_path / "home" / "a.bin")
    assert (tmp_path / "home" / "a.bin").read_bytes() == b"x" * 100_000
    assert waits == [1, 2, 4]
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["a.bin"]


def test_what_does_not_pass_is_one_line_at_last(served, tmp_path):
    url, handler, waits = served
    handler.faults[:] = ["503"] * 9
    with pytest.raises(
        DataError, match=r"a\.bin cannot be read after 6 tries: the server says 503"
    ):
        download(url, tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()
    assert sum(waits) == 31


def test_what_stays_is_refused_at_once(served):
    url, handler, waits = served
    with pytest.raises(DataError, match="the server says 404"):
        read_remote(f"{url}.missing")
    assert len(handler.asked) == 1
    assert waits == []


def test_no_server_and_no_address(monkeypatch, tmp_path):
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: None)
    with webs.serving(tmp_path) as (url, _):
        pass  # gone again
    with pytest.raises(DataError, match=r"after 6 tries: .*refused"):
        read_remote(f"{url}/a")
    with pytest.raises(DataError, match="cannot be read"):
        read_remote("http://")
