"""Which file the weights are, and that all of it is there."""

import json

import pytest
import torch
from safetensors.torch import save_file

from feller.core.checkpoint import CheckpointError
from feller.core.importing.weights import find_weights, read_weights


def test_safetensors_come_before_pickles(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no weights, such as model\.safetensors$"):
        find_weights(tmp_path)
    for name in ("b.pt", "a.safetensors", "model.safetensors"):
        (tmp_path / name).touch()
        assert find_weights(tmp_path).name == name
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "c.safetensors").touch()
    with pytest.raises(
        CheckpointError, match=r"holds a\.safetensors, c\.safetensors: give the one"
    ):
        find_weights(tmp_path)


def test_several_files(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    places = {"a": "one.safetensors", "b": "two.safetensors"}
    index.write_text(json.dumps({"weight_map": places}))
    save_file({"a": torch.ones(1)}, tmp_path / "one.safetensors")
    assert find_weights(tmp_path) == index
    with pytest.raises(CheckpointError, match=r"two\.safetensors is missing, which .*: finish"):
        read_weights(index)
    save_file({"c": torch.ones(1)}, tmp_path / "two.safetensors")
    with pytest.raises(CheckpointError, match=r"two\.safetensors lacks b, which"):
        read_weights(index)
    save_file({"b": torch.zeros(1)}, tmp_path / "two.safetensors")
    assert sorted(read_weights(index).tensors) == ["a", "b"]


@pytest.mark.parametrize("name", ["../one.safetensors", "/etc/passwd", "a.pt", 3])
def test_an_index_names_files_beside_it(name, tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match="which is no safetensors file beside it"):
        read_weights(index)
    index.write_text("[]")
    with pytest.raises(CheckpointError, match="is not the index of files of weights"):
        read_weights(index)
