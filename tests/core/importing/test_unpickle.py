"""The process that reads a pickle: what it takes, and its limit of memory."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from feller.core.importing.unpickle import chosen

COMMAND = [sys.executable, "-P", "-m", "feller.core.importing.unpickle"]


def test_a_state_dict_is_taken_as_it_is():
    assert chosen({"a": torch.zeros(1)})[0] == ""
    for wrong in ([1], {}, {"a": 1}, {"opt": {"a": torch.zeros(1)}}):
        with pytest.raises(ValueError, match="no part '' of tensors by name"):
            chosen(wrong)


def test_views_and_ties_are_written_apart(tmp_path):
    table = torch.arange(6.0).view(2, 3)
    torch.save({"a": table, "b": table, "c": table.T}, tmp_path / "in.pt")
    done = subprocess.run(
        [*COMMAND, str(tmp_path / "in.pt"), str(tmp_path / "out"), ""], check=False
    )
    found = load_file(tmp_path / "out")
    assert done.returncode == 0
    assert torch.equal(found["a"], found["b"]) and torch.equal(found["c"], table.T)


def test_a_file_that_asks_for_much_more_than_it_is_large_is_refused(tmp_path):
    """A tensor of a billion numbers that is one number, repeated."""
    torch.save({"a": torch.zeros(1).expand(2_000_000_000)}, tmp_path / "in.pt")
    done = subprocess.run(
        [*COMMAND, str(tmp_path / "in.pt"), str(tmp_path / "out"), ""],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
