import subprocess

import torch

from feller.core.training.surroundings import surroundings


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_the_code_is_that_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert surroundings(torch.device("cpu"))["git"] is None
    git(tmp_path, "init")
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "notes.txt").touch()
    assert surroundings(torch.device("cpu"))["git"] == {"commit": commit, "changed": False}
    (tmp_path / "a.py").write_text("2")
    assert surroundings(torch.device("cpu"))["git"] == {"commit": commit, "changed": True}


def test_versions_and_the_machine_are_known():
    found = surroundings(torch.device("cpu"))
    assert found["torch"] == str(torch.__version__)
    assert "feller-core" in found
    assert found["hardware"]["cores"] > 0
    assert found["hardware"]["processor"]
