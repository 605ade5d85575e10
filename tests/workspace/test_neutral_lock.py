"""tools/neutral_lock.py takes the index out of a lock and finds it in what git holds."""

import io
import subprocess

import pytest

import neutral_lock

LOCK = """\
version = 1
revision = 5
requires-python = ">=3.11"

[manifest]
members = [
    "house",
    "shed",
]
overrides = [{ name = "brick", specifier = "<2" }]

[[manifest.dependency-metadata]]
name = "brick"

[[package]]
name = "brick"
version = "1.0"
source = { registry = "https://index.example/simple" }
dependencies = [
    { name = "clay", source = { registry = "https://index.example/simple" }, marker = "x < '3'" },
]
sdist = { url = "https://files.example/a/b/brick-1.0.tar.gz", hash = "sha256:aa" }
wheels = [
    { url = "https://files.example/c/brick-1.0-py3-none-any.whl?x=/y#z", hash = "sha256:bb" },
]

[[package]]
name = "house"
source = { virtual = "." }
"""

NEUTRAL = """\
version = 1
revision = 5
requires-python = ">=3.11"

[[package]]
name = "brick"
version = "1.0"
source = { registry = "index" }
dependencies = [
    { name = "clay", source = { registry = "index" }, marker = "x < '3'" },
]
sdist = { path = "brick-1.0.tar.gz", hash = "sha256:aa" }
wheels = [
    { path = "brick-1.0-py3-none-any.whl", hash = "sha256:bb" },
]

[[package]]
name = "house"
source = { virtual = "." }
"""


@pytest.fixture
def repository(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def stage(folder, **files):
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    subprocess.run(["git", "-C", folder, "add", "-A"], check=True)


def test_the_neutral_form():
    assert neutral_lock.neutral(LOCK) == NEUTRAL


def test_twice_is_once():
    assert neutral_lock.neutral(NEUTRAL) == NEUTRAL


def test_a_manifest_at_the_end_goes_too():
    assert neutral_lock.neutral('version = 1\n[manifest]\nmembers = ["a"]\n') == "version = 1\n"


def test_in_place(tmp_path):
    path = tmp_path / "uv.lock"
    path.write_text(LOCK)
    assert neutral_lock.main([str(path)]) == 0
    assert path.read_text() == NEUTRAL


def test_as_a_filter(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(LOCK))
    assert neutral_lock.main(["--filter"]) == 0
    assert capsys.readouterr().out == NEUTRAL


@pytest.mark.parametrize(
    ("text", "status", "words"), [(NEUTRAL, 0, ""), (LOCK, 1, "names an index")]
)
def test_check_without_git_reads_the_file(tmp_path, capsys, text, status, words):
    (tmp_path / "uv.lock").write_text(text)
    assert neutral_lock.main(["--check", str(tmp_path / "uv.lock")]) == status
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("staged", "on_disk", "status"), [(NEUTRAL, LOCK, 0), (LOCK, NEUTRAL, 1)])
def test_check_judges_the_staged_copy(repository, staged, on_disk, status):
    stage(repository, uv_lock=staged)
    (repository / "uv.lock").write_text(on_disk)
    assert neutral_lock.main(["--check", str(repository / "uv.lock")]) == status


@pytest.mark.parametrize("host", ["index.example", "files.example"])
def test_check_finds_a_host_of_the_local_lock_in_another_file(repository, capsys, host):
    stage(repository, uv_lock=NEUTRAL, notes_md=f"from {host}, of course\n")
    (repository / "uv.lock").write_text(LOCK)
    assert neutral_lock.main(["--check", str(repository / "uv.lock")]) == 1
    assert capsys.readouterr().err == "notes.md names an index host\n"


def test_check_refuses_an_address_that_cannot_be_made_neutral(tmp_path, capsys):
    (tmp_path / "uv.lock").write_text(NEUTRAL + 'source = { git = "https://git.example/a" }\n')
    assert neutral_lock.main(["--check", str(tmp_path / "uv.lock")]) == 1
    assert "https://git.example/a" in capsys.readouterr().err
