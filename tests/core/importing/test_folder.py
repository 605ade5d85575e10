"""A folder of others: its files, its options, its licence."""

import pytest
import torch
from safetensors.torch import save_file

from feller.core.checkpoint import CheckpointError
from feller.core.importing import Foreign


def test_options_lie_over_the_configuration(tmp_path):
    (tmp_path / "config.json").write_text('{"a": 1, "b": 2}')
    found = Foreign(tmp_path, {"b": 3})
    assert found.config == {"a": 1, "b": 3} and found.need("a", "2") == 1
    with pytest.raises(CheckpointError, match="does not say its c: give --set c=VALUE, such as 5"):
        found.need("c", "5")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "is not JSON"), ("[]", "no named values"), ("[" * 10**5, "is not JSON")],
)
def test_a_configuration_that_is_none(text, reason, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=reason):
        _ = Foreign(tmp_path).config


def test_a_file_alone(tmp_path):
    save_file({"model.a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "x.safetensors")
    found = Foreign(tmp_path / "x.safetensors")
    assert found.names == {"model.a", "b"} and found.folder == tmp_path
    assert "a" in found.tensors("model.")
    assert not Foreign(tmp_path / "..", {}).names
    with pytest.raises(CheckpointError, match="is neither a folder nor a file"):
        Foreign(tmp_path / "none")


def test_the_licence_is_that_of_the_page(tmp_path):
    assert Foreign(tmp_path).licence == "unknown"
    (tmp_path / "README.md").write_text("license: mit\n")
    assert Foreign(tmp_path).licence == "unknown"
    (tmp_path / "README.md").write_text("---\nx: y\nlicense: cc-by-nc-4.0\n---\n")
    assert Foreign(tmp_path).licence == "cc-by-nc-4.0"
