import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from feller.core import files
from feller.core.files import (
    digest,
    keep_others,
    locked,
    published,
    read_json,
    remove,
    sweep,
    verify,
    write_text,
)


def fill(folder, text, **options):
    with published(folder, **options) as fresh:
        (fresh / "a.txt").write_text(text)


def test_a_folder_takes_the_place_of_another(tmp_path):
    for text in ("old", "new"):
        fill(tmp_path / "x" / "y", text)
    assert (tmp_path / "x" / "y" / "a.txt").read_text() == "new"
    assert [found.name for found in (tmp_path / "x").iterdir()] == ["y"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no"), OSError(28, "full")])
def test_where_it_fails_the_old_one_stays(error, tmp_path):
    fill(tmp_path / "y", "old")
    with pytest.raises(type(error)), published(tmp_path / "y") as fresh:
        (fresh / "a.txt").write_text("new")
        raise error
    assert (tmp_path / "y" / "a.txt").read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["y"]


@pytest.mark.parametrize("error", [None, OSError, NotImplementedError])
def test_what_else_a_folder_holds_stays(error, tmp_path, monkeypatch):
    """A disk without links raises an OSError, a system that follows symlinks the other one."""

    def link(*given, **how):
        raise error

    if error:
        monkeypatch.setattr(os, "link", link)
    folder = tmp_path / "y"
    fill(folder, "old")
    (folder / "notes" / ".deep").mkdir(parents=True)
    (folder / "notes" / ".deep" / "b.txt").write_text("years")
    (folder / "c.txt").write_text("more")
    (folder / "link").symlink_to("nowhere")
    (folder / "notes" / "link").symlink_to("nowhere")
    for text in ("new", "newer"):
        with published(folder) as fresh:
            (fresh / "a.txt").write_text(text)
            keep_others(folder, fresh)
    assert (folder / "a.txt").read_text() == "newer"
    assert (folder / "c.txt").read_text() == "more"
    assert (folder / "notes" / ".deep" / "b.txt").read_text() == "years"
    assert (folder / "link").is_symlink() and (folder / "notes" / "link").is_symlink()
    assert [found.name for found in tmp_path.iterdir()] == ["y"]


def test_what_a_folder_holds_stays_where_another_fails_to_replace_it(tmp_path):
    fill(tmp_path / "y", "old")
    (tmp_path / "y" / "c.txt").write_text("more")
    with pytest.raises(ValueError, match="no"), published(tmp_path / "y") as fresh:
        keep_others(tmp_path / "y", fresh)
        raise ValueError("no")
    assert (tmp_path / "y" / "c.txt").read_text() == "more"
    keep_others(tmp_path / "nowhere", tmp_path)


class Crash(BaseException):
    """A process that dies."""


def last_operation(monkeypatch, number):
    """Let a process die before so many more operations on files."""
    left = [number]

    def counted(operation):
        def maybe(*args, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Crash
            return operation(*args, **options)

        return maybe

    for name in ("replace", "fsync", "mkdir", "unlink", "rmdir", "open"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    for name in ("write_text", "rename"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    return left


@pytest.mark.parametrize("write", [fill, lambda path, text: write_text(path / "a.txt", text)])
def test_whatever_the_last_operation_the_old_or_the_new_is_there(write, tmp_path, monkeypatch):
    """Under its name, and at each moment."""
    seen, point, left = [], 0, [-1]
    while left[0] < 0:
        target = tmp_path / str(point) / "y"
        fill(target, "old")
        with monkeypatch.context() as patch, contextlib.suppress(Crash):
            left = last_operation(patch, point)
            write(target, "new")
        seen.append((target / "a.txt").read_text())
        point += 1
    assert seen == sorted(seen, reverse=True)  # the old ones first
    assert {*seen} == {"old", "new"}


def test_where_names_cannot_be_exchanged_one_is_there_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    test_a_folder_takes_the_place_of_another(tmp_path)


def test_a_full_disk_is_said_in_one_line(tmp_path):
    with (
        pytest.raises(OSError, match=r"y cannot be written: No space left$"),
        published(tmp_path / "y"),
    ):
        raise OSError(28, "No space left")


def test_a_seal_is_that_of_sha256sum(tmp_path):
    fill(tmp_path / "y", "abc", sealed=True)
    verify(tmp_path / "y")
    assert digest(tmp_path / "y" / "a.txt").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "y", capture_output=True, check=False
    )
    assert done.stdout == b"a.txt: OK\n"


@pytest.mark.parametrize(
    ("break_", "reason"),
    [
        (lambda folder: (folder / "a.txt").write_text("abd"), "the SHA-256 of a.txt is not that"),
        (lambda folder: (folder / "a.txt").unlink(), "a.txt is missing"),
        (lambda folder: (folder / "b.txt").touch(), "b.txt is not in SHA256SUMS"),
        (lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff"), "is not in SHA256SUMS|missi"),
    ],
)
def test_a_broken_seal_is_named(break_, reason, tmp_path):
    fill(tmp_path / "y", "abc", sealed=True)
    break_(tmp_path / "y")
    with pytest.raises(ValueError, match=reason):
        verify(tmp_path / "y")


def test_what_is_removed_is_gone_and_leftovers_are_swept(tmp_path):
    fill(tmp_path / "y", "abc")
    (tmp_path / ".y.old").mkdir()
    remove(tmp_path / "y")
    assert not list(tmp_path.iterdir())
    for name in (".a.partial", ".b.old", "c"):
        (tmp_path / name).mkdir()
    sweep(tmp_path)
    assert [found.name for found in tmp_path.iterdir()] == ["c"]


def test_a_text_is_replaced_as_a_whole(tmp_path):
    for text in ("old", "new"):
        write_text(tmp_path / "a.txt", text)
    assert (tmp_path / "a.txt").read_text() == "new"
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]


def test_a_lock_is_of_one_process_and_ends_with_it(tmp_path):
    script = (
        "import pathlib, sys; from feller.core.files import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('mine', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "a"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert other.stdout.readline() == b"mine\n"
    with pytest.raises(ValueError, match="a is in use by another process"):
        locked(tmp_path / "a", patience=0.05).__enter__()
    other.kill()
    with locked(tmp_path / "a"):
        pass
    other.communicate()


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 101 + "]" * 101, '{"a":' * 500 + "1" + "}" * 500]
)
def test_json_without_end_is_refused(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "a.json")


def test_json_is_read(tmp_path):
    for value, text in (([[1], {"a": 2}], '[[1], {"a": 2}]'), (3, "3")):
        (tmp_path / "a.json").write_text(text)
        assert read_json(tmp_path / "a.json") == value
