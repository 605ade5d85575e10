"""The hub: what is pushed is what is loaded, and each thing that goes wrong is one line."""

import json
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import hub as servers
import pictures
import pytest
import torch
from huggingface_hub import ModelCard as HubCard
from huggingface_hub import constants
from huggingface_hub.repocard_data import model_index_to_eval_results
from huggingface_hub.utils import disable_progress_bars
from safetensors.torch import load_file, save_file

from feller.core import load, save_model
from feller.core.cards import Metric, ModelCard
from feller.core.checkpoint import CheckpointError
from feller.core.cli import main
from feller.core.domains import RegistryError
from feller.core.exporting import export_model
from feller.core.hub import Repository, download, push, repository
from feller.core.registry import model_folder, read_card

# That of the client's own request with the weights.
pytestmark = pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")

Scene = namedtuple("Scene", "hub home set set_token")


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """A hub, and a cache that is empty; `set` changes a constant of the client."""

    def put(**values):
        for name, value in values.items():
            monkeypatch.setattr(constants, name, value)

    disable_progress_bars()
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    with servers.running() as server:
        put(ENDPOINT=server.address, HF_HUB_CACHE=str(home), HF_HUB_DISABLE_XET=True)
        put(HUGGINGFACE_CO_URL_TEMPLATE=server.address + "/{repo_id}/resolve/{revision}/{filename}")
        put(HF_TOKEN_PATH=str(home / "token"), HF_STORED_TOKENS_PATH=str(home / "tokens"))
        yield Scene(server, home, put, lambda token: monkeypatch.setenv("HF_TOKEN", token))


@pytest.fixture
def folder(tmp_path):
    return save_model(pictures.model(), tmp_path / "tiny", card=pictures.CARD)


def refusal(function, *given, **named):
    with pytest.raises((RegistryError, CheckpointError)) as caught:
        function(*given, **named)
    message = str(caught.value)
    assert "\n" not in message
    return message


def equal(a, b):
    state = b.state_dict()
    return all(state[name].equal(value) for name, value in a.state_dict().items())


def test_addresses():
    assert repository("hf-hub:org/repo") == Repository("org/repo", None)
    assert str(repository("hf-hub:org/repo@v1")) == "hf-hub:org/repo@v1"
    assert refusal(repository, "hf-hub:org/repo@") == (
        "hf-hub:org/repo@ has no revision after @: a branch, a tag or a commit"
    )


def test_what_is_pushed_is_loaded_by_its_revision(scene, folder):
    (folder / "optimizer.bin").write_bytes(b"not of the model")
    first = push(folder, "org/tiny", token=servers.TOKEN)
    held = scene.hub.repositories["org/tiny"]
    assert set(held.commits[first.revision]) == {
        ".gitattributes", "README.md", "card.json", "config.json", "model.safetensors",
    }  # fmt: skip
    assert scene.hub.commits == 1  # all of it or nothing
    assert list(scene.hub.uploads.values()) == [(folder / "model.safetensors").read_bytes()]
    other = pictures.CONFIG.build()
    address = other.push_to_hub("org/tiny", token=servers.TOKEN, revision="next")
    assert address != str(first)
    assert equal(load("hf-hub:org/tiny"), load(folder))
    assert equal(load(str(first)), load(folder))
    assert equal(load(address), other) and equal(load("hf-hub:org/tiny@next"), other)
    assert read_card("hf-hub:org/tiny") == pictures.CARD
    assert not equal(load("hf-hub:org/tiny"), other)


def test_a_private_repository_is_for_those_with_a_token(scene, folder):
    push(folder, "org/tiny", token=servers.TOKEN, private=True)
    assert scene.hub.repositories["org/tiny"].private
    assert "does not exist, or is private" in refusal(load, "hf-hub:org/tiny")
    scene.set_token(servers.READER)
    assert equal(load("hf-hub:org/tiny"), load(folder))


def test_who_may_not_push_is_refused(scene, folder):
    assert refusal(push, folder, "org/tiny") == (
        "hf-hub:org/tiny needs a token that may write: `hf auth login`, HF_TOKEN or --token"
    )
    assert refusal(push, folder, "org/tiny", token=servers.READER) == (
        "hf-hub:org/tiny cannot be pushed to: the token may not write there"
    )
    assert "cannot be pushed to: " in refusal(push, folder, "a b/c", token=servers.TOKEN)
    assert not scene.hub.repositories


def test_a_hub_that_is_not_reached_takes_nothing(scene, folder):
    scene.set(HF_HUB_OFFLINE=True)
    assert refusal(push, folder, "org/tiny", token=servers.TOKEN) == (
        "hf-hub:org/tiny cannot be pushed to: HF_HUB_OFFLINE says that there is no network"
    )


def test_what_is_not_there_is_named(scene, folder):
    scene.hub.add("org/tiny", folder)
    assert refusal(download, "hf-hub:org/none") == (
        "hf-hub:org/none does not exist, or is private and needs `hf auth login`"
    )
    assert refusal(download, "hf-hub:org/tiny@v9") == (
        "hf-hub:org/tiny@v9: the repository has no branch, tag or commit 'v9'"
    )
    assert refusal(download, "hf-hub:or g/x").startswith(
        "hf-hub:or g/x cannot be downloaded: Repo id"
    )


def test_without_a_network_the_cache_serves(scene, folder):
    commit = scene.hub.add("org/tiny", folder).refs["main"]
    load("hf-hub:org/tiny")
    scene.set(HF_HUB_OFFLINE=True)
    assert equal(load("hf-hub:org/tiny"), load(folder))
    assert equal(load(f"hf-hub:org/tiny@{commit}"), load(folder))
    for name in ("hf-hub:org/tiny@next", "hf-hub:org/none"):
        assert refusal(load, name) == (
            f"{name} is not in the cache, and HF_HUB_OFFLINE says that there is no network"
        )


def test_a_server_that_is_gone_is_no_loss(scene, folder):
    scene.hub.add("org/tiny", folder)
    load("hf-hub:org/tiny")
    gone = "http://127.0.0.1:9"
    scene.set(ENDPOINT=gone)
    assert equal(load("hf-hub:org/tiny"), load(folder))
    assert refusal(load, "hf-hub:org/none") == (
        f"hf-hub:org/none is not in the cache, and {gone} is not reached"
    )


def test_half_a_download_is_no_model(scene, folder, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between one try and the next
    scene.hub.add("org/tiny", folder)
    scene.hub.halved.add("model.safetensors")
    message = refusal(download, "hf-hub:org/tiny")
    assert message.startswith("hf-hub:org/tiny cannot be downloaded: ")
    scene.set(HF_HUB_OFFLINE=True)
    assert refusal(load, "hf-hub:org/tiny") == (
        "hf-hub:org/tiny is half in the cache, and HF_HUB_OFFLINE says that there is no network"
    )
    scene.set(HF_HUB_OFFLINE=False)
    scene.hub.halved.clear()
    assert equal(load("hf-hub:org/tiny"), load(folder))


def flipped(file):
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.resolve().write_bytes(data)


def test_a_damaged_file_in_the_cache_is_fetched_anew(scene, folder):
    scene.hub.add("org/tiny", folder)
    cached = model_folder("hf-hub:org/tiny") / "model.safetensors"
    flipped(cached)
    scene.set(HF_HUB_OFFLINE=True)
    assert refusal(load, "hf-hub:org/tiny") == (
        "hf-hub:org/tiny is damaged in the cache, and HF_HUB_OFFLINE says that there is no network"
    )
    scene.set(HF_HUB_OFFLINE=False)
    assert equal(load("hf-hub:org/tiny"), load(folder))
    scene.set(HF_HUB_OFFLINE=True)
    assert equal(load("hf-hub:org/tiny"), load(folder))


def test_a_file_that_is_damaged_on_the_hub_is_refused(scene, folder):
    flipped(folder / "model.safetensors")
    scene.hub.add("org/tiny", folder)
    assert refusal(load, "hf-hub:org/tiny") == (
        "hf-hub:org/tiny is damaged on the hub: the SHA-256 of its model.safetensors is not that "
        "in its config.json"
    )


def test_what_is_damaged_is_not_pushed(scene, folder):
    flipped(folder / "model.safetensors")
    assert main(["push", str(folder), "org/tiny", "--token", servers.TOKEN]) == 2
    assert not scene.hub.repositories


def test_a_model_that_has_changed_loses_its_figures(folder, tmp_path):
    card = ModelCard(name="tiny", task="toys", metrics=(Metric(name="KID", value=0.1),))
    save_model(pictures.model(), folder, card=card)
    model = load(folder)
    assert ModelCard.read(model.save_pretrained(tmp_path / "same")) == card
    with torch.no_grad():
        next(model.parameters()).mul_(1.0001)
    changed = ModelCard.read(model.save_pretrained(tmp_path / "other"))
    assert (changed.task, changed.metrics) == ("toys", ())
    fresh = ModelCard.read(pictures.CONFIG.build().save_pretrained(tmp_path / "fresh"))
    assert fresh.hub_task == "unconditional-image-generation"


def test_what_has_no_configuration_is_not_saved(tmp_path):
    with pytest.raises(CheckpointError, match="a GeneratorModel has no configuration"):
        pictures.model().model.save_pretrained(tmp_path / "x")
    mixed = 0.5 * pictures.model() + 0.5 * pictures.model()
    with pytest.raises(CheckpointError, match="a SuperposedModel has no configuration"):
        mixed.save_pretrained(tmp_path / "x")


def test_the_page_has_figures_that_the_hub_reads(tmp_path):
    card = ModelCard(
        name="images/x",
        licence="CC BY 4.0",
        dataset="mnist",
        hub_task="unconditional-image-generation",
        metrics=(
            Metric(name="KID by class: 8", value=0.25, low=0.2, high=0.3),
            Metric(name="lost", value=float("nan")),
        ),
    )
    data = HubCard(card.page()).data
    assert (data.license, data.license_name) == ("other", "CC BY 4.0")
    assert data.pipeline_tag == "unconditional-image-generation"
    index = json.loads(json.dumps(data.to_dict()["model-index"]))
    name, [result] = model_index_to_eval_results(index)
    assert (name, result.metric_type, result.metric_value) == ("images/x", "kid-by-class-8", 0.25)
    assert (result.dataset_name, result.task_type) == ("mnist", "unconditional-image-generation")


class Planted:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


@pytest.fixture
def theirs(tmp_path):
    """A pipeline of diffusers."""
    config = pictures.UNCONDITIONAL
    config = replace(config, network=replace(config.network, channels=(8, 8), norm_groups=2))
    export_model(pictures.model(config), "diffusers", tmp_path / "theirs")
    return tmp_path / "theirs"


def test_a_model_of_others_is_imported_from_the_hub(scene, theirs, tmp_path, capsys):
    (theirs / "vae").mkdir()
    (theirs / "vae" / "model.safetensors").write_bytes(b"large, and not needed")
    scene.hub.add("org/unet", theirs)
    assert equal(load("hf-hub:org/unet"), load(theirs))
    assert not (model_folder("hf-hub:org/unet") / "vae").exists()
    out = tmp_path / "out"
    assert main(["import", "hf-hub:org/unet", "--out", str(out)]) == 0
    assert "UNet2DModel of diffusers" in capsys.readouterr().out
    assert equal(load(out), load(theirs))


def half(weights, marker):
    weights.write_bytes(weights.read_bytes()[:-400])


def pickled(weights, marker):
    torch.save({"x": Planted(marker)}, weights.with_suffix(".bin"))
    weights.unlink()


def changed(edit):
    def change(weights, marker):
        state = load_file(weights)
        edit(state)
        save_file(state, weights)

    return change


BIAS = "conv_out.bias"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (half, "is damaged or half a download"),
        (pickled, "cannot be read as tensors alone"),
        (changed(lambda s: s.update({BIAS: torch.zeros(1, 2)})), "does not fit its configuration"),
        (changed(lambda s: s.pop(BIAS)), "lacks model.network.head.bias"),
        (changed(lambda s: s.update(planted=torch.zeros(1))), "planted"),
    ],
    ids=["half", "pickle", "shape", "missing", "extra"],
)
def test_what_is_damaged_is_refused_on_every_road(damage, reason, scene, theirs, tmp_path, capsys):
    marker = tmp_path / "run"
    damage(theirs / "unet" / "diffusion_pytorch_model.safetensors", marker)
    scene.hub.add("org/unet", theirs)
    assert reason in refusal(load, "hf-hub:org/unet")
    if damage is not pickled:  # which another process reads: seconds for each
        assert reason in refusal(load, theirs)
        assert main(["import", "hf-hub:org/unet", "--out", str(tmp_path / "out")]) == 2
        assert reason in capsys.readouterr().err
    assert not marker.exists() and not (tmp_path / "out").exists()
