"""Model folders: bit-equal after a round trip, and every damage named in one line."""

import functools
import hashlib
import json
import os
from dataclasses import replace

import pictures
import points
import pytest
import torch
from safetensors.torch import load_file

from feller.core import files
from feller.core.cards import ModelCard
from feller.core.checkpoint import CheckpointError, is_finite, load_model, save_model
from feller.core.config import ConfigError
from feller.core.couplings import IndependentCoupling, MinibatchOT, coupling_of, set_coupling
from feller.images.models import Sampling


@pytest.fixture
def folder(tmp_path):
    return pictures.save(tmp_path / "tiny")


def change(folder, *keys, to):
    """Set an entry of `config.json`; None removes it."""
    config = json.loads((folder / "config.json").read_text())
    place = config
    for key in keys[:-1]:
        place = place[key]
    if to is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = to
    (folder / "config.json").write_text(json.dumps(config))


def refusal(folder, error=CheckpointError):
    with pytest.raises(error) as caught:
        load_model(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_a_model_is_loaded_bit_by_bit(folder):
    model, loaded = pictures.model(), load_model(folder)
    assert loaded.config == model.config
    assert not loaded.training
    saved = model.state_dict()
    assert saved.keys() == loaded.state_dict().keys()
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == saved[name].dtype
        assert tensor.equal(saved[name])
    labels = torch.tensor([0, 1, 2])
    images, _ = model.draw(3, labels, Sampling(steps=3), seed=5)
    assert loaded.draw(3, labels, Sampling(steps=3), seed=5)[0].equal(images)
    assert images.float().std() > 10


def test_weights_are_stored_in_half_precision_where_asked(tmp_path):
    model = pictures.model()
    folder = save_model(model, tmp_path / "half", dtype=torch.float16)
    whole = save_model(model, tmp_path / "whole")
    sizes = [(f / "model.safetensors").stat().st_size for f in (folder, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    loaded = load_model(folder).state_dict()
    for name, value in model.state_dict().items():
        assert loaded[name].dtype == value.dtype
        torch.testing.assert_close(loaded[name], value, rtol=1e-3, atol=1e-4)


def test_weights_that_half_precision_does_not_hold_are_refused(tmp_path):
    model = pictures.model()
    with torch.no_grad():
        next(model.parameters()).fill_(1e6)
    with pytest.raises(CheckpointError, match=r"torch\.float16 does not hold"):
        save_model(model, tmp_path / "half", dtype=torch.float16)


def test_there_is_no_pickle(folder):
    assert {file.name for file in folder.iterdir()} == {
        "README.md", "card.json", "config.json", "model.safetensors",
    }  # fmt: skip
    assert load_file(folder / "model.safetensors")
    assert json.loads((folder / "config.json").read_text())["format"] == 1
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644  # others may read it


def test_a_model_without_a_card_gets_a_bare_one(tmp_path):
    model = pictures.model()
    folder = save_model(model, tmp_path / "deep" / "tiny")
    card = ModelCard.read(folder)
    assert card.name == "tiny"
    assert card.parameters == sum(p.numel() for p in model.parameters())


def test_it_goes_to_the_asked_device(folder):
    assert next(load_model(folder, device="auto").parameters()).device.type in ("cpu", "cuda")


def test_auto_is_no_device_without_double_precision(folder, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("mps"))
    assert next(load_model(folder, device="auto").parameters()).device.type == "cpu"
    assert next(load_model(folder, device="cpu").parameters()).device.type == "cpu"
    with pytest.raises(ValueError, match="no device 'warp' here"):
        load_model(folder, device="warp")


def test_an_old_model_is_replaced_as_a_whole(folder):
    fresh = pictures.CONFIG.build()
    save_model(fresh, str(folder))
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    weights = dict(load_model(folder).named_parameters())
    assert all(weights[name].equal(p) for name, p in fresh.named_parameters())


def test_an_interrupted_save_leaves_the_old_model(folder, monkeypatch):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def fail(self, place):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ModelCard, "write", fail)
        with pytest.raises(KeyboardInterrupt):
            save_model(pictures.CONFIG.build(), folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    load_model(folder)
    save_model(pictures.CONFIG.build(), folder)
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_an_old_model_is_removed_last(folder, monkeypatch):
    """A power cut between two renames leaves it under another name; an error puts it back."""
    weights = (folder / "model.safetensors").read_bytes()
    replace, moves = os.replace, []

    def fail_from_the_second(source, target, *, only):
        moves.append(target)
        if len(moves) == 2 or (len(moves) > 2 and not only):
            raise OSError("power cut")
        replace(source, target)

    for only in (True, False):
        moves.clear()
        with monkeypatch.context() as patch:
            patch.setattr(files, "_exchange", lambda one, other: False)
            patch.setattr(os, "replace", functools.partial(fail_from_the_second, only=only))
            with pytest.raises(OSError, match="power cut"):
                save_model(pictures.CONFIG.build(), folder)
        kept = folder if only else moves[0]
        assert (kept / "model.safetensors").read_bytes() == weights
        load_model(kept)
    save_model(pictures.CONFIG.build(), folder)
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_replace_no_model(value, folder):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    model = pictures.model()
    with torch.no_grad():
        next(model.parameters())[0] = value
    with pytest.raises(CheckpointError, match=r"is not finite: .*tiny is not written"):
        save_model(model, folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_model_whose_configuration_would_not_load_replaces_none(folder):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    model = pictures.model()
    model.config = replace(model.config)
    object.__setattr__(model.config, "codec", None)  # types are checked in tests alone
    with pytest.raises(ConfigError, match=r"^\w+\.codec: None is not ImageCodec$"):
        save_model(model, folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_found_wherever_it_is(value, dtype):
    tensor = torch.ones(40, dtype=dtype)
    assert is_finite(tensor) and is_finite(tensor[:0]) and is_finite(torch.arange(3))
    for i in (0, 17, 39):
        assert not is_finite(tensor.index_fill(0, torch.tensor(i), value))


@pytest.mark.parametrize("depth", [101, 500, 100_000])
def test_a_configuration_that_is_nested_without_end_is_refused(depth, folder):
    (folder / "config.json").write_text('{"format": 1, "model": ' + "[" * depth + "]" * depth + "}")
    assert "config.json is not JSON: it is nested too deeply" in refusal(folder)


@pytest.mark.parametrize("kind", ["folder", "file", "configured"])
def test_what_is_not_a_model_is_not_replaced(kind, tmp_path):
    target = tmp_path / "thesis"
    if kind != "file":
        target.mkdir()
        (target / "chapter.tex").write_text("years of work")
        if kind == "configured":
            (target / "config.json").write_text("{}")
    else:
        target.write_text("years of work")
    with pytest.raises(CheckpointError, match="thesis exists and is not a model folder"):
        save_model(pictures.model(), target)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]
    assert kind == "file" or (target / "chapter.tex").read_text() == "years of work"


def test_what_else_is_in_a_model_folder_stays(folder):
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    save_model(fresh := pictures.CONFIG.build(), folder)
    assert (folder / ".git" / "HEAD").read_text() == "ref: refs/heads/main"
    weights = dict(load_model(folder).named_parameters())
    assert all(weights[name].equal(p) for name, p in fresh.named_parameters())


def test_tied_weights_are_saved(tmp_path):
    model = pictures.model()
    model.model.network.middle[2] = model.model.network.middle[0]
    folder = save_model(model, tmp_path / "tied")
    state = model.state_dict()
    loaded = load_model(folder).state_dict()
    assert state.keys() == loaded.keys()
    assert all(loaded[name].equal(state[name]) for name in state)


def test_a_flipped_bit_is_seen(folder):
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert "model.safetensors is corrupt: its SHA-256 is " in refusal(folder)


def test_a_digest_of_several_lines_is_shown_in_one(folder):
    change(folder, "sha256", to="3f6\n07")
    assert refusal(folder).endswith(r"config.json has '3f6\n07'")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(name, folder):
    (folder / name).unlink()
    assert refusal(folder).startswith(f"{folder / name} is missing")


def test_a_missing_folder_is_named(tmp_path):
    assert "is not a model folder" in refusal(tmp_path / "nothing")


def test_weights_of_another_shape_are_refused(folder):
    change(folder, "model", "network", "channels", to=[8, 24])
    message = refusal(folder)
    assert "model.safetensors does not fit the network: size mismatch for model." in message
    assert len(message) < 400


def test_weights_of_another_network_are_refused(folder):
    change(folder, "model", "network", "blocks_per_level", to=2)
    message = refusal(folder)
    assert "does not fit the network: Missing key(s) in state_dict: " in message
    assert len(message) < 400


def test_weights_with_a_broken_header_are_refused(folder):
    (folder / "model.safetensors").write_bytes(b"no tensors at all")
    change(folder, "sha256", to=hashlib.sha256(b"no tensors at all").hexdigest())
    assert "model.safetensors does not fit the network: " in refusal(folder)


@pytest.mark.parametrize(
    ("keys", "value", "reason"),
    [
        (["format"], 2, "has format 2, this feller reads 1: pip install -U feller-core"),
        (["format"], None, "is not that of a feller model: it has no 'format'"),
        (["sha256"], None, "'sha256' is missing"),
        (["extra"], 1, "'extra' is unknown"),
        (["model"], "unet", "'model' has no 'type', such as 'images/model'"),
        (["model", "type"], None, "'model' has no 'type', such as 'images/model'"),
        (["model", "type"], "condot", "unknown type 'condot'; there are images/model"),
        (["model", "type"], "text/model", "text/model needs a package: pip install feller-text"),
        (
            ["model", "network", "channels"],
            [-8, 16],
            ".network: channels is at least 1, not (-8, 16)",
        ),
        (["model", "network", "channels"], [], ".network: channels is at least 1, not ()"),
        (["model", "network", "num_classes"], 4, "num_classes is 4, but codec.classes names 3"),
        (["model", "network", "in_channels"], 3, "in_channels is 3, but images have 1"),
    ],
)
def test_a_configuration_of_something_else_is_refused(keys, value, reason, folder, only_images):
    change(folder, *keys, to=value)
    message = refusal(folder, ValueError)
    assert message.startswith(str(folder / "config.json"))
    assert reason in message


@pytest.mark.parametrize(
    ("keys", "value", "reason"),
    [
        (["model", "colour"], "red", "images/model has no field 'colour'; it has codec, "),
        (["model", "network", "dropuot"], 0.5, ".network: unet has no field 'dropuot'"),
        (["model", "network", "type"], "unett", ".network: unknown type 'unett'; did you mean une"),
        (["model", "network", "dropout"], "no", ".network.dropout: 'no' is not float"),
    ],
)
def test_an_unknown_key_is_refused(keys, value, reason, folder):
    change(folder, *keys, to=value)
    message = refusal(folder, ConfigError)
    assert message.startswith(str(folder / "config.json"))
    assert reason in message


@pytest.mark.parametrize("text", ["", "{", '{"format": 1', b"\xff\xfe".decode("latin1")])
def test_what_is_not_json_is_refused(text, folder):
    (folder / "config.json").write_text(text, encoding="latin1")
    assert f"{folder / 'config.json'} is not JSON: " in refusal(folder)


@pytest.mark.parametrize("text", ["[]", "3", '{"model_type": "bert"}'])
def test_the_json_of_others_is_refused(text, folder):
    (folder / "config.json").write_text(text)
    assert "is not that of a feller model" in refusal(folder)


def test_a_type_that_is_no_model_is_refused(folder):
    change(folder, "model", to={"type": "images/sampling"})
    assert "describes no model that can be built here" in refusal(folder)


def test_buffers_and_half_precision_are_kept(tmp_path):
    model = pictures.model()
    model.model.network.register_buffer("count", torch.arange(3))
    model.model.network.head = model.model.network.head.bfloat16()
    folder = save_model(model, tmp_path / "a")
    saved = load_file(folder / "model.safetensors")
    assert saved["model.network.count"].equal(torch.arange(3))
    assert saved["model.network.head.weight"].dtype == torch.bfloat16


def test_independent_pairs_are_not_written(folder):
    assert "coupling" not in json.loads((folder / "config.json").read_text())
    assert coupling_of(load_model(folder)) == IndependentCoupling()


def test_the_coupling_of_a_model_is_kept(tmp_path):
    model = pictures.model()
    set_coupling(model, MinibatchOT())
    folder = save_model(model, tmp_path / "a")
    assert json.loads((folder / "config.json").read_text())["coupling"] == {"type": "minibatch_ot"}
    loaded = load_model(folder)
    assert coupling_of(loaded) == coupling_of(loaded.model) == MinibatchOT()
    with pytest.raises(ValueError, match="trained with MinibatchOT"):
        loaded.draw(1, None, Sampling(solver="ddpm"))
    again = save_model(loaded, tmp_path / "b")
    assert coupling_of(load_model(again)) == MinibatchOT()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"type": "condot"}, "'coupling' is not a coupling, such as 'minibatch_ot'"),
        (
            {"type": "a/b/c/d"},
            ".coupling: unknown type 'a/b/c/d'; import the module that defines it",
        ),
        ("minibatch_ot", "'coupling' is not a coupling"),
    ],
)
def test_a_coupling_that_is_none_is_refused(value, reason, folder):
    change(folder, "coupling", to=value)
    assert reason in refusal(folder, ValueError)


@pytest.mark.parametrize(
    ("key", "value"),
    [("blocks_per_level", 10**9), ("channels", [8, 10**12]), ("channels", [8, 10**6])],
)
def test_senseless_sizes_are_refused_before_they_are_built(key, value, folder):
    change(folder, "model", "network", key, to=value)
    assert "describes no model that can be built here: " in refusal(folder)


def test_a_model_of_ones_own_is_loaded_where_its_type_is_known(tmp_path):
    model = points.PointModelConfig(width=4).build()
    loaded = load_model(save_model(model, tmp_path / "mine"))
    assert loaded.config == model.config
    assert all(loaded.state_dict()[k].equal(v) for k, v in model.state_dict().items())


def test_a_type_that_nobody_knows_says_what_to_do(folder):
    change(folder, "model", "type", to="points/other")
    message = refusal(folder)
    assert "unknown type 'points/other'" in message
    assert "a type of your own is known once its module is imported" in message


def test_json_without_end_is_refused(folder):
    (folder / "config.json").write_text("[" * 100_000)
    assert f"{folder / 'config.json'} is not JSON: " in refusal(folder)
