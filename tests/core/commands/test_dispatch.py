"""Dispatch: a command belongs to the domain of its model, files to the one that measures them."""

import json
from dataclasses import replace

import pytest
from toys import installed, only, refusal

from feller.core.commands.dispatch import domain_command, measured_by
from feller.core.domains import resolve


@pytest.fixture
def toys(tmp_path, monkeypatch):
    with installed(tmp_path, monkeypatch) as domain:
        yield domain


def test_a_command_belongs_to_the_domain_of_the_model(toys, tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    config = {"format": 1, "model": {"type": "toys/model"}, "sha256": ""}
    (folder / "config.json").write_text(json.dumps(config))
    domain_command("sample", [str(folder), "-n", "3"])
    assert resolve(f"{toys.package}:calls") == [(str(folder), ["-n", "3"])]
    assert refusal(domain_command, "evaluate", [str(folder)]) == (
        "feller evaluate does not know models of type toys/model"
    )
    (folder / "config.json").write_text(json.dumps({**config, "model": {"type": "text/model"}}))
    assert "pip install feller-text" in refusal(domain_command, "sample", [str(folder)])
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        domain_command("sample", [str(folder)])


def test_files_belong_to_the_domain_that_measures_them(toys, tmp_path, monkeypatch):
    measuring = replace(toys, measures=(".toy", ".zip"))
    only(monkeypatch, {"others": toys, "toys": measuring})
    folder = tmp_path / "things" / "deep"
    folder.mkdir(parents=True)
    things = folder.parent
    (folder / "a.txt").write_text("")
    assert measured_by(str(things)) is None
    for name in ("b.TOY", "c.toy.gz"):
        (folder / name).write_text("")
        assert measured_by(str(things)) is measuring
        assert measured_by(str(folder / name)) is measuring
        (folder / name).unlink()
    assert measured_by(str(folder / "b.toy")) is None
    (folder / "b.toy").write_text("")
    for mark in ("config.json", "model/config.json", "recipe.json"):  # a model, or a run
        (things / mark).parent.mkdir(exist_ok=True)
        (things / mark).write_text("{}")
        assert measured_by(str(things)) is None
        (things / mark).unlink()
    assert measured_by(str(things)) is measuring
    only(monkeypatch, {"toys": toys})
    assert measured_by(str(things)) is None


def test_a_command_without_a_model_says_how(capsys):
    domain_command("sample", ["--help"])
    assert capsys.readouterr().out.startswith("usage: feller sample MODEL [flags]")
    for argv in ([], ["-n", "3"]):
        with pytest.raises(ValueError, match="a model is missing; `feller list` names them"):
            domain_command("sample", argv)
