"""Fetching: what a server has comes as it is, and what it has not is said, an id at a time."""

import importlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from structures import atom_array, chain, same, write

from feller.proteins.structure.download import fetch
from feller.proteins.structure.reading import read_chains


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that counts what it is asked for."""

    asked: list[str] = []  # noqa: RUF012  (the server makes the instances)

    def log_message(self, format, *args):
        self.asked.append(self.path)


@pytest.fixture
def server(tmp_path):
    """A server that has one structure in two formats, and its address."""
    root = tmp_path / "server"
    root.mkdir()
    for suffix in ("bcif", "cif", "pdb"):
        write(atom_array({"A": chain(12)}), root / f"1abc.{suffix}")
    Quiet.asked = []
    made = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.mark.parametrize("form", ["bcif", "cif", "pdb"])
def test_structures_come_as_they_are(server, tmp_path, form):
    fetched = fetch(["1abc"], tmp_path / "out", form=form, address=server)
    assert not fetched.refusals
    (file,) = fetched.files
    assert file == tmp_path / "out" / f"1abc.{form}"
    assert file.read_bytes() == (tmp_path / "server" / file.name).read_bytes()
    (found,) = read_chains(file)
    assert same(found, chain(12))


def test_what_fails_stops_nothing(server, tmp_path):
    ids = ["9xyz", "../server/1abc", "1abc", "1abc", ""]
    fetched = fetch(ids, tmp_path / "out", address=server + "/")
    assert [file.name for file in fetched.files] == ["1abc.bcif"]
    assert [(r.name, r.kind) for r in fetched.refusals] == [
        ("9xyz", "not fetched"),
        ("../server/1abc", "not an id"),
        ("", "not an id"),
    ]
    assert "9xyz" in fetched.refusals[0].reason
    assert all("\n" not in r.reason for r in fetched.refusals)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["1abc.bcif"]


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    for _ in range(2):
        assert len(fetch(["1abc"], tmp_path / "out", address=server).files) == 1
    assert len(Quiet.asked) == 1


def test_a_server_that_is_not_there(tmp_path):
    (refusal,) = fetch(["1abc"], tmp_path / "out", address="http://127.0.0.1:9").refusals
    assert refusal.reason.startswith("not fetched: ")
    assert not list((tmp_path / "out").iterdir())


def test_the_address_is_put_back(server, tmp_path, monkeypatch):
    client = importlib.import_module("biotite.database.rcsb.download")
    before = dict(vars(client))
    fetch(["1abc"], tmp_path / "out", address=server)
    assert vars(client) == before
    monkeypatch.delattr(client, "_bcif_url")
    with pytest.raises(ValueError, match="no address that can be set"):
        fetch(["1abc"], tmp_path / "out", address=server)
