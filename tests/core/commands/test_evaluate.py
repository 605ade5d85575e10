"""`feller evaluate`: hands over to the domain of the model, or of the files."""

import pictures
from terminal import complaint, feller
from toys import only

from feller.core.commands import evaluate
from feller.core.domains import Domain
from feller.images.commands import evaluate as commands


def test_the_domain_is_called(tmp_path, monkeypatch):
    folder = pictures.save(tmp_path / "tiny")
    calls = []
    monkeypatch.setattr(commands, "evaluate", lambda *given: calls.append(given))
    assert feller("evaluate", folder, "-n", 3) == (0, "", "")
    assert calls == [(str(folder), ["-n", "3"])]


def test_files_go_to_the_domain_that_measures_them(tmp_path, monkeypatch):
    calls = []
    domain = Domain("images", "feller.images", commands={"evaluate": "here"}, measures=(".toy",))
    only(monkeypatch, {"images": domain})
    monkeypatch.setattr(evaluate, "resolve", {"here": lambda *given: calls.append(given)}.get)
    (tmp_path / "a.toy").write_text("")
    assert feller("evaluate", tmp_path, "--json") == (0, "", "")
    assert calls == [(str(tmp_path), ["--json"])]
    (tmp_path / "config.json").write_text("{}")
    assert "config.json" in complaint("evaluate", tmp_path)


def test_the_flags_are_those_of_the_domain(tmp_path):
    code, out, _ = feller("evaluate", pictures.save(tmp_path / "tiny"), "--help")
    assert code == 0
    assert out.startswith(f"usage: feller evaluate {tmp_path}")
    assert "--steps" in out


def test_a_model_is_asked_for(only_images):
    code, out, _ = feller("evaluate", "--help")
    assert code == 0
    assert out.startswith("usage: feller evaluate MODEL [flags]")
    assert complaint("evaluate") == "feller evaluate: a model is missing; `feller list` names them"
    assert complaint("evaluate", "images/x").startswith(
        "feller evaluate: unknown model 'images/x'; "
    )
    assert complaint("evaluate", "text/x") == (
        "feller evaluate: text/x needs a package: pip install feller-text"
    )
