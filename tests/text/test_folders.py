"""Folders: links lead to files, each read once, and what is held out lies apart."""

import os

import pytest

from feller.text.corpora import DataError, documents
from feller.text.data import TextData
from feller.text.folders import files_under, refuse_overlap, state_of


@pytest.fixture
def folder(tmp_path):
    """A folder with a file, and another one elsewhere to which it has a link."""
    for name in ("mine/a.txt", "mine/deep/b.txt", "elsewhere/c.txt", "elsewhere/d.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "mine" / "link").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "mine"


def names(root, pattern="*"):
    return [p.relative_to(root).as_posix() for p in files_under(root, pattern)]


def test_a_link_to_a_folder_is_followed(folder):
    assert names(folder, "*.txt") == ["a.txt", "deep/b.txt", "link/c.txt"]
    assert names(folder, "link/*") == ["link/c.txt", "link/d.md"]
    read = [d.text for d in documents("folder", str(folder), pattern="*.txt")]
    assert read == ["mine/a.txt", "mine/deep/b.txt", "elsewhere/c.txt"]


def test_no_file_is_read_twice(folder):
    usual = names(folder)
    (folder / "inside").symlink_to(folder / "deep")
    (folder / "circle").symlink_to(folder)
    (folder / "up").symlink_to(folder.parent)
    (folder.parent / "elsewhere" / "back").symlink_to(folder)
    (folder / "nowhere").symlink_to(folder / "none")
    assert names(folder) == usual


def test_a_change_behind_a_link_is_a_change(folder):
    before = state_of(str(folder))
    assert state_of(str(folder)) == before
    (folder.parent / "elsewhere" / "c.txt").write_text("something else")
    assert state_of(str(folder)) != before


@pytest.mark.parametrize(("path", "held"), [("", ""), ("", "deep"), ("deep", ""), ("a.txt",) * 2])
def test_what_is_held_out_is_not_trained_on(folder, path, held):
    data = TextData(source="folder", path=str(folder / path), test_path=str(folder / held))
    for split in ("train", "test"):
        with pytest.raises(DataError, match=r"is held out, and --data.path .* trains on it"):
            next(data.texts(split))


def test_what_lies_apart_is_taken(folder):
    refuse_overlap(str(folder / "deep"), str(folder / "deeper"))
    refuse_overlap("wikitext", "wikitext-103")


def test_the_split_that_is_trained_on_is_not_held_out():
    data = TextData(source="datasets", path="wikitext", test_split="train")
    with pytest.raises(DataError, match=r"--data\.test-split train is what is trained on"):
        next(data.texts("test"))


def test_names_in_another_encoding(tmp_path):
    """A name of bytes that are not UTF-8 has a place among the documents, too."""
    for i in range(9):
        (tmp_path / os.fsdecode(b"na\xefve%d.txt" % i)).write_text("text")
    data = TextData(source="folder", path=str(tmp_path), held_out="documents", test_fraction=0.5)
    assert len([*data.texts("train"), *data.texts("test")]) == 9


def test_a_held_out_file_behind_a_link_is_not_trained_on(folder):
    data = TextData(source="folder", path=str(folder), test_path=str(folder.parent / "elsewhere"))
    for split in ("train", "test"):
        with pytest.raises(DataError, match=r"c\.txt is held out, and trained on"):
            next(data.texts(split))
