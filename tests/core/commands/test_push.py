"""`feller push`: what it says. What it does is held by the tests of the hub."""

import hub
import pictures
import pytest
from huggingface_hub import constants

from feller.core.cli import main

# That of the client's own request with the weights.
pytestmark = pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")


def test_the_address_of_the_commit_is_printed(tmp_path, monkeypatch, capsys):
    folder = pictures.save(tmp_path / "tiny")
    monkeypatch.setenv("NO_PROXY", "*")
    with hub.running() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        more = ["--token", hub.TOKEN, "--revision", "next", "--message", "First"]
        assert main(["push", str(folder), "hf-hub:org/tiny", *more]) == 0
        commit = server.repositories["org/tiny"].refs["next"]
    out, err = capsys.readouterr()
    assert out == f"hf-hub:org/tiny@{commit}\n"
    assert f"feller.core.load('hf-hub:org/tiny@{commit}')" in err


def test_what_is_no_model_is_refused(tmp_path, capsys):
    assert main(["push", str(tmp_path), "org/tiny"]) == 2
    assert "neither a model nor a finished run" in capsys.readouterr().err
