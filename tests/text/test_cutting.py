"""Cutting: the same file on any number of cores, and no document in memory that need not be."""

import os
import signal
from itertools import islice

import numpy as np
import pytest

from feller.text import cutting
from feller.text.corpora import DataError, Passage
from feller.text.cutting import Cut, write_ids
from feller.text.tokenizers import Bytes, Characters


def corpus():
    """Short documents around a long one in pieces."""
    for i in range(40):
        yield Passage(f"a{i}", "abc" * i + str(i))
    for i in range(30):
        yield Passage("long", f"piece {i} of the long one, ", ends=i == 29)
    for i in range(40):
        yield Passage(f"b{i}", "x" * (i % 7))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(cutting, "SENT", 100)


def ids(file):
    return np.fromfile(file, dtype=np.uint16)


@pytest.mark.parametrize("has_end", [False, True])
def test_several_processes_write_the_file_of_one(has_end, tmp_path):
    cut = Cut(Bytes(), has_end, np.uint16)
    counts = [write_ids(tmp_path / f"{n}.ids", corpus(), cut, processes=n) for n in (1, 2, 3)]
    assert np.array_equal(ids(tmp_path / "1.ids"), ids(tmp_path / "2.ids"))
    assert np.array_equal(ids(tmp_path / "1.ids"), ids(tmp_path / "3.ids"))
    text = "".join(part.text for part in corpus())
    assert counts == [len(text) + 81 * has_end] * 3
    known = ids(tmp_path / "2.ids")
    assert bytes(known[known < 256].astype(np.uint8).tolist()).decode() == text


def test_what_a_process_refuses_is_refused(tmp_path):
    cut = Cut(Characters("abc"), False, np.uint16)
    for processes in (1, 2):
        with pytest.raises(ValueError, match="a0"):
            write_ids(tmp_path / "a.ids", corpus(), cut, processes=processes)
        assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_killed_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(
        cutting.ProcessPoolExecutor, "submit", _die(cutting.ProcessPoolExecutor.submit)
    )
    with pytest.raises(DataError, match="a process that cuts the corpus was killed"):
        write_ids(tmp_path / "a.ids", corpus(), Cut(Bytes(), False, np.uint16), processes=2)
    assert list(tmp_path.iterdir()) == []


def _die(submit):
    def other(self, function, *given):
        return submit(self, function if function is os.getpid else _killed, *given)

    return other


def _killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_long_document_is_read_piece_by_piece(tmp_path):
    read = []

    def endless():
        for i in range(1000):
            read.append(i)
            yield Passage("long", "ten chars.", ends=i == 999)

    found = cutting._in_order(endless(), Cut(Bytes(), False, np.uint16), 1, cutting.Tally())
    assert len(list(islice(found, 20))) == 20
    assert len(read) < 40
