"""Tar files of samples: what belongs together, and what is damaged."""

import os

import pytest
import webs

from feller.core.errors import DataError
from feller.core.tars import opened_file, samples_of


@pytest.fixture
def file(tmp_path):
    samples = {f"deep/dir.d/{i}": {"txt": b"text" * i, "Seg.PNG": b"x"} for i in range(5)}
    webs.write_shard(tmp_path / "a.tar", samples | {"other/1": {"txt": b"another"}})
    return tmp_path / "a.tar"


def samples(file):
    number = opened_file(str(file))
    try:
        found = samples_of(number, file.name)
        return [{p.ending: os.pread(number, p.size, p.offset) for p in parts} for parts in found]
    finally:
        os.close(number)


def test_files_of_one_name_are_a_sample(file):
    assert samples(file)[3] == {"txt": b"text" * 3, "seg.png": b"x"}
    assert samples(file)[5] == {"txt": b"another"}
    assert len(samples(file)) == 6


@pytest.mark.parametrize("cut", [0, 100, 512, 600, 1024, 1300, 5120, 5632])
def test_what_is_cut_short_is_refused(cut, file):
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"a\.tar is not a readable tar file without compression"):
        samples(file)


@pytest.mark.parametrize("change", ["twice", "flipped", "text"])
def test_what_is_damaged_is_refused(change, file):
    whole = file.read_bytes()
    flipped = whole[:1536] + b"x" + whole[1537:]
    file.write_bytes({"twice": whole + whole, "flipped": flipped, "text": b"no tar"}[change])
    with pytest.raises(DataError, match="is not a readable tar file"):
        samples(file)


def test_what_is_missing_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        opened_file(str(tmp_path / "a.tar"))
