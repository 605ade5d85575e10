"""Pickles are read by a process of its own, which runs nothing that they hold."""

import argparse
import os

import pytest
import torch

from feller.core.checkpoint import CheckpointError
from feller.core.importing import Foreign, import_model
from feller.core.importing.pickles import read_pickle


class Planted:
    """Runs a command where it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.gate
def test_averaged_weights_come_first_and_numbers_beside_them(tmp_path):
    file = tmp_path / "a.pt"
    held = {"model": {"w": torch.zeros(2)}, "ema": {"w": torch.ones(2)}, "step": 7, "kind": "x"}
    torch.save(held | {"args": argparse.Namespace(lr=1.0)}, file)
    found = read_pickle(file)
    assert torch.equal(found.tensors["w"], torch.ones(2)) and found.entry == "ema"
    assert found.fields == {"step": 7, "kind": "x", "lr": 1.0}
    assert torch.equal(read_pickle(file, "model").tensors["w"], torch.zeros(2))
    with pytest.raises(CheckpointError, match="no part 'net' of tensors by name; there are ema, m"):
        read_pickle(file, "net")


@pytest.mark.gate
def test_planted_code_is_refused_and_not_run(tmp_path):
    mark = tmp_path / "run"
    file = tmp_path / "model.pt"
    torch.save({"w": torch.zeros(1), "x": Planted(f"touch {mark}")}, file)
    for read in (lambda: read_pickle(file), lambda: import_model(file)):
        with pytest.raises(CheckpointError, match=r"as tensors alone .* safetensors") as caught:
            read()
        assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_half_a_file_is_refused(tmp_path):
    file = tmp_path / "model.bin"
    torch.save({"w": torch.zeros(10_000)}, file)
    file.write_bytes(file.read_bytes()[:20_000])
    with pytest.raises(CheckpointError, match="cannot be read as tensors alone") as caught:
        _ = Foreign(tmp_path).stored
    assert "\n" not in str(caught.value)


def test_it_has_a_limit_of_time(tmp_path):
    torch.save({"w": torch.zeros(1)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"is not read in 0 seconds: where you trust it"):
        read_pickle(tmp_path / "a.pt", seconds=0.01)
