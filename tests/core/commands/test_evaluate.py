"""`feller evaluate`: hands over to the domain of the model."""

import pictures
from terminal import complaint, feller

from feller.images import commands


def test_the_domain_is_called(tmp_path, monkeypatch):
    folder = pictures.save(tmp_path / "tiny")
    calls = []
    monkeypatch.setattr(commands, "evaluate", lambda *given: calls.append(given))
    assert feller("evaluate", folder, "-n", 3) == (0, "", "")
    assert calls == [(str(folder), ["-n", "3"])]


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
