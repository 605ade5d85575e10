"""Which folders are those of others, and what is said where nobody knows one."""

import json

import pytest
import torch
from safetensors.torch import save_file

from feller.core import load, load_model, save_model
from feller.core.checkpoint import CheckpointError
from feller.core.domains import Domain
from feller.core.importing import Importer, families, import_model, is_foreign
from feller.core.importing.base import Imported
from feller.images import ImageModelConfig, UNetConfig
from feller.images.codec import ImageCodec

CONFIG = ImageModelConfig(
    network=UNetConfig(channels=(8,), blocks_per_level=1, attention_levels=()),
    codec=ImageCodec((3, 4, 4)),
)
ANY = Importer("a thing", lambda folder: "thing" in folder.config, lambda folder: Imported(
    config=CONFIG, state=dict(folder.stored.tensors), reading={"path": "any"}
))  # fmt: skip
SENSELESS = Importer("a thing", lambda folder: True, lambda folder: folder.config["x"]["y"])


@pytest.fixture
def known(monkeypatch):
    """One importer, and no other."""

    def install(importer):
        monkeypatch.setattr(families, "resolve", lambda name: importer)
        domain = Domain(name="x", package="x", importers=("x:y",))
        monkeypatch.setattr(families, "domains", lambda: {"x": domain})

    return install


def test_ours_and_theirs(tmp_path):
    save_model(CONFIG.build(), tmp_path / "ours")
    assert not is_foreign(tmp_path / "ours") and not is_foreign(tmp_path)
    with pytest.raises(CheckpointError, match="is a model of feller already: load it as it is"):
        import_model(tmp_path / "ours")
    (tmp_path / "config.json").write_text("{}")
    assert is_foreign(tmp_path)
    (tmp_path / "config.json").write_text("{")  # ours, if broken: its reader says so
    assert not is_foreign(tmp_path)
    (tmp_path / "x.pt").touch()
    assert is_foreign(tmp_path / "x.pt") and not is_foreign("images/fashion-flow")


def test_a_model_is_loaded_by_the_same_rule(known, tmp_path):
    known(ANY)
    model = CONFIG.build()
    torch.nn.init.ones_(model.model.network.head.bias)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"thing": 1}')
    found = load(tmp_path)
    assert torch.equal(found.model.network.head.bias, torch.ones(3)) and not found.training
    save_model(found, tmp_path / "ours")
    assert load_model(tmp_path / "ours").config == CONFIG


def test_misfits_are_named(known, tmp_path):
    known(ANY)
    (tmp_path / "config.json").write_text('{"thing": 1}')
    state = {k: v.clone() for k, v in CONFIG.build().state_dict().items()}
    name = "model.network.head.bias"
    for change, reason in [
        ({name: torch.zeros(5)}, rf"does not fit its configuration: {name} is \[5\], the network"),
        ({name: None}, f"lacks {name} of the network"),
        ({"more": torch.zeros(1)}, "has more, which the network of its configuration lacks"),
    ]:
        found = {k: v for k, v in (state | change).items() if v is not None}
        save_file(found, tmp_path / "model.safetensors")
        with pytest.raises(CheckpointError, match=reason):
            import_model(tmp_path)


def test_a_senseless_configuration_is_one_line(known, tmp_path):
    known(SENSELESS)
    for config, reason in [({}, "'x' is missing"), ({"x": 3}, "not subscriptable")]:
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(CheckpointError, match=f"a thing that feller supports: .*{reason}"):
            import_model(tmp_path)


def test_an_unknown_family(known, tmp_path):
    known(ANY)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is of no family known here; there are a thing"):
        load(tmp_path)
