"""Damaged input of every reader: the short form of `benchmarks/reliability/fuzz.py`."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

RELIABILITY = str(Path(__file__).parents[2] / "benchmarks" / "reliability")
sys.path.insert(0, RELIABILITY)

from fuzz import damaged, fault_of  # noqa: E402
from readers import READERS, Reader  # noqa: E402

INPUTS = 40
TRAINED = ("config", "weights", "run-", "state", "cache", "chain-")
"""What the readers have in their names that train a model, or make data, which takes seconds."""
EVERY = [
    pytest.param(name, marks=[pytest.mark.slow] * any(word in name for word in TRAINED))
    for name in READERS
]


@pytest.mark.parametrize("name", EVERY)
def test_damaged_input_is_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    reader = READERS[name](tmp_path)
    for valid in reader.valid:
        reader.read(valid)  # and import what it imports
    for number in range(INPUTS):
        data = damaged(reader.valid, random.Random(f"{name} {number}"))
        assert not fault_of(reader, data), f"--only {name} --first {number} --inputs 1"


def test_what_is_no_line_is_a_fault():
    def odd(data):
        raise KeyError(data)

    def lines(data):
        raise ValueError("one\ntwo")

    assert fault_of(Reader([], odd), b"").startswith("KeyError: test_fuzz.py")
    assert fault_of(Reader([], lines), b"").startswith("2 lines: test_fuzz.py")


@pytest.mark.gate
def test_much_memory_is_a_fault():
    """In a process of its own: of one that holds gigabytes some may be reclaimed meanwhile."""
    script = """
import fuzz, readers
fuzz.BYTES = 10**7
print(fuzz.fault_of(readers.Reader([], lambda data: bytes([1]) * 10**8), b""))
"""
    asked = [sys.executable, "-c", script]
    found = subprocess.run(asked, cwd=RELIABILITY, capture_output=True, text=True, check=True)
    assert found.stdout == "more than a gigabyte\n"
