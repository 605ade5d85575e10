"""`feller sample`: hands over to the domain of the model."""

import pictures
from terminal import complaint, feller

from feller.images.commands import sample as commands


def test_the_domain_is_called(tmp_path, monkeypatch):
    folder = pictures.save(tmp_path / "tiny")
    calls = []
    monkeypatch.setattr(commands, "sample", lambda *given: calls.append(given))
    assert feller("sample", folder, "-n", 3) == (0, "", "")
    assert calls == [(str(folder), ["-n", "3"])]


def test_the_flags_are_those_of_the_domain(tmp_path):
    code, out, _ = feller("sample", pictures.save(tmp_path / "tiny"), "--help")
    assert code == 0
    assert out.startswith(f"usage: feller sample {tmp_path}")
    assert "--steps" in out


def test_a_model_is_asked_for(only_images):
    code, out, _ = feller("sample", "--help")
    assert code == 0
    assert out.startswith("usage: feller sample MODEL [flags]")
    assert complaint("sample") == "feller sample: a model is missing; `feller list` names them"
    assert complaint("sample", "images/x").startswith("feller sample: unknown model 'images/x'; ")
    assert complaint("sample", "text/x") == (
        "feller sample: text/x needs a package: pip install feller-text"
    )
