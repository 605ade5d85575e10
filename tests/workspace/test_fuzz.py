"""Damaged input of every reader: the short form of `benchmarks/reliability/fuzz.py`."""

import random
import sys
from pathlib import Path

import pytest

RELIABILITY = str(Path(__file__).parents[2] / "benchmarks" / "reliability")
sys.path.insert(0, RELIABILITY)

from fuzz import damaged, fault_of  # noqa: E402
from readers import READERS, Reader  # noqa: E402

INPUTS = 60


@pytest.mark.parametrize("name", READERS)
def test_damaged_input_is_one_line(name, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    reader = READERS[name](tmp_path)
    for valid in reader.valid:
        assert not fault_of(reader, valid)
    for number in range(INPUTS):
        data = damaged(reader.valid, random.Random(f"{name} {number}"))
        assert not fault_of(reader, data), f"--only {name} --first {number} --inputs 1"


def test_what_is_no_line_is_a_fault():
    def odd(data):
        raise KeyError(data)

    def lines(data):
        raise ValueError("one\ntwo")

    def large(data):
        return bytearray(1_100_000_000)

    assert fault_of(Reader([], odd), b"").startswith("KeyError: test_fuzz.py")
    assert fault_of(Reader([], lines), b"").startswith("2 lines: test_fuzz.py")
    assert fault_of(Reader([], large), b"") == "more than a gigabyte"
