"""The registry: names, near names, folders, and a hub of the test's own."""

import subprocess
import sys

import hub
import pictures
import points
import pytest
import torch
from toys import installed, only, refusal

from feller.core.cards import ModelCard
from feller.core.checkpoint import save_model
from feller.core.domains import (
    domain_of,
    list_models,
    recipe,
)
from feller.core.registry import data_of, load, model_folder, read_card
from feller.images import ImageModel


@pytest.fixture
def toys(tmp_path, monkeypatch):
    with installed(tmp_path, monkeypatch) as domain:
        yield domain


def test_bundled_models():
    assert "images/fashion-flow" in list_models()
    for name in list_models():
        card = read_card(name)
        assert card.name == name
        assert card.parameters
        assert card.metrics
        assert (model_folder(name) / "README.md").read_text(encoding="utf-8") == card.page()


def test_near_names_are_suggested(toys):
    assert refusal(model_folder, "toys/cat-fow") == (
        "unknown model 'toys/cat-fow'; did you mean toys/cat-flow?"
    )
    assert "did you mean toys/cat-flow" in refusal(model_folder, "cat-flow")
    assert "did you mean toys/dog-jump" in refusal(load, "toy/dog-jump")
    assert refusal(read_card, "zzz") == (
        "unknown model 'zzz'; there are toys/cat-flow, toys/dog-jump"
    )
    assert refusal(recipe, "toys/brd-flow").startswith(
        "unknown recipe 'toys/brd-flow'; did you mean toys/bird-flow"
    )
    assert refusal(recipe, "birds/1") == (
        "unknown recipe 'birds/1'; there are toys/bird-flow, toys/cat-flow"
    )
    assert refusal(domain_of, "condot", "type") == (
        "unknown type 'condot'; there are toys/model; "
        "a type of your own is known once its module is imported"
    )


def test_where_nothing_is_installed(monkeypatch):
    only(monkeypatch, {})
    assert list_models() == []
    assert refusal(model_folder, "zzz") == "unknown model 'zzz'; there are none"
    assert (
        refusal(model_folder, "images/x") == "images/x needs a package: pip install feller-images"
    )


@pytest.mark.parametrize("look", [model_folder, recipe, load, read_card])
def test_a_missing_package_is_named(look, toys):
    assert refusal(look, "text/shakespeare-mask") == (
        "text/shakespeare-mask needs a package: pip install feller-text"
    )


def test_a_model_has_a_folder_a_run_has_it_inside(toys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    folder = tmp_path / "runs" / "a" / "model"
    pictures.save(folder)
    for name in (str(folder), "runs/a/model", "runs/a", "runs/a/"):
        assert model_folder(name).resolve() == folder
    assert read_card("runs/a") == pictures.CARD
    bundled = model_folder("toys/cat-flow")
    assert bundled == toys.weights / "cat-flow"
    assert read_card("toys/cat-flow").task == "toys"


def test_a_folder_without_a_model_is_refused(toys, tmp_path):
    assert refusal(model_folder, str(tmp_path)) == (
        f"{tmp_path} has no config.json: it is neither a model nor a finished run"
    )
    assert "unknown model" in refusal(model_folder, "toys/no-model")
    said = refusal(model_folder, str(tmp_path / "nothing"))
    assert said.startswith(f"unknown model '{tmp_path / 'nothing'}', and no such file; there are")
    assert ", and no such file" in refusal(model_folder, "mine.pdb")


def test_a_folder_is_loaded(tmp_path):
    folder = pictures.save(tmp_path / "tiny")
    assert load(str(folder)).config == pictures.CONFIG
    assert load(folder).config == pictures.CONFIG  # a path as it is
    assert read_card(folder) == read_card(str(folder))
    assert data_of(folder) is None


def test_a_model_of_another_kind_than_expected_is_refused(tmp_path):
    folder = pictures.save(tmp_path / "tiny")
    assert load(folder, ImageModel).config == pictures.CONFIG
    assert refusal(load, folder, torch.nn.Linear).endswith("is of type ImageModel, not Linear")


FROM_HUB = """
import sys
from pathlib import Path
from feller.core.domains import RegistryError
from feller.core.registry import load, model_folder

local, *names = sys.argv[1:]
model, same = load(names[0]), load(local)
assert model.config == same.config
weights = model.state_dict()
assert all(weights[name].equal(tensor) for name, tensor in same.state_dict().items())
print(*sorted(file.name for file in model_folder(names[0]).iterdir()))
for name in names[1:]:
    try:
        model_folder(name)
    except (RegistryError, ValueError) as error:
        print(error)
"""


def from_hub(environment, *given):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FROM_HUB, *map(str, given)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.gate
def test_a_model_comes_from_the_hub(tmp_path):
    folder = save_model(pictures.model(), tmp_path / "tiny", card=pictures.CARD)
    (folder / "optimizer.bin").write_bytes(b"not needed")
    names = ["hf-hub:org/tiny", "hf-hub:org/none", "hf-hub:or g/x"]
    with hub.serve({"org/tiny": folder}) as address:
        environment = hub.environment(address, tmp_path / "home")
        found = from_hub(environment, folder, *names)
    assert found[0] == "README.md card.json config.json model.safetensors"
    assert found[1] == "hf-hub:org/none does not exist, or is private and needs `hf auth login`"
    assert found[2].startswith("hf-hub:or g/x cannot be downloaded: Repo id must ")
    assert len(found) == 3

    # The server is gone: what was fetched stays, and the rest cannot be downloaded.
    offline = from_hub(environment, folder, *names[:2])
    assert offline[0] == found[0]
    assert offline[1] == f"hf-hub:org/none is not in the cache, and {address} is not reached"
    assert len(offline) == 2


@pytest.mark.parametrize("text", ['{"name": "soup"}', "[]"])
def test_a_recipe_of_something_else_is_none(tmp_path, text):
    card = ModelCard(name="toys/none")
    folder = save_model(points.recipe().model.build(), tmp_path / "model", card=card)
    (tmp_path / "recipe.json").write_text(text)
    assert data_of(str(folder)) is None
