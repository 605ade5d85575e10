"""The registry: names, near names, folders, and a hub of the test's own."""

import json
import subprocess
import sys
from dataclasses import replace

import hub
import pictures
import points
import pytest

from feller.core import registry
from feller.core.cards import ModelCard
from feller.core.checkpoint import save_model
from feller.core.registry import (
    Domain,
    RegistryError,
    data_of,
    domain_command,
    domain_of,
    list_models,
    list_recipes,
    load,
    measured_by,
    model_folder,
    read_card,
    recipe,
    resolve,
)


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A domain of two bundled models, in place of those that are installed."""
    package = tmp_path / "feller_test_toys"
    for name in ("cat-flow", "dog-jump"):
        folder = package / "weights" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        ModelCard(name=f"toys/{name}", task="toys").write(folder)
    (package / "weights" / "no-model").mkdir()
    (package / "__init__.py").write_text("calls = []\ndef note(*given): calls.append(given)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    domain = Domain(
        name="toys",
        package=package.name,
        recipes={"cat-flow": "builtins:dict", "bird-flow": "builtins:list"},
        commands={"sample": f"{package.name}:note"},
    )
    monkeypatch.setattr(registry, "domains", lambda: {"toys": domain})
    yield domain
    sys.modules.pop(package.name, None)


def refusal(function, *given):
    with pytest.raises(RegistryError) as caught:
        function(*given)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_models_and_recipes_are_listed_by_pattern(toys):
    assert list_models() == ["toys/cat-flow", "toys/dog-jump"]
    assert list_models("toys/*") == list_models()
    assert list_models("*-jump") == ["toys/dog-jump"]
    assert list_models("images/*") == []
    assert list_recipes() == ["toys/bird-flow", "toys/cat-flow"]
    assert list_recipes("toys/b*") == ["toys/bird-flow"]


def test_the_images_are_installed():
    domain = registry.domains()["images"]
    assert domain.name == "images"
    assert "images/drawn-flow" in list_recipes("images/*")
    assert domain.import_models().__name__ == "feller.images.models"


def test_bundled_models():
    assert "images/fashion-flow" in list_models()
    for name in list_models():
        card = read_card(name)
        assert card.name == name
        assert card.parameters
        assert card.metrics
        assert (model_folder(name) / "README.md").read_text(encoding="utf-8") == card.page()


def test_a_recipe_has_a_name(toys):
    assert recipe("toys/cat-flow") == {}
    assert resolve("feller.core.registry:resolve") is resolve


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
    monkeypatch.setattr(registry, "domains", dict)
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
    assert "unknown model" in refusal(model_folder, str(tmp_path / "nothing"))


def test_a_folder_is_loaded(tmp_path):
    folder = pictures.save(tmp_path / "tiny")
    assert load(str(folder)).config == pictures.CONFIG


def test_a_command_belongs_to_the_domain_of_the_model(toys, tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    config = {"format": 1, "model": {"type": "toys/model"}, "sha256": ""}
    (folder / "config.json").write_text(json.dumps(config))
    domain_command("sample", [str(folder), "-n", "3"])
    assert resolve(f"{toys.package}:calls") == [(str(folder), ["-n", "3"])]
    assert refusal(domain_command, "evaluate", [str(folder)]) == (
        "feller evaluate does not know models of type toys/model"
    )
    (folder / "config.json").write_text(json.dumps({**config, "model": {"type": "text/model"}}))
    assert "pip install feller-text" in refusal(domain_command, "sample", [str(folder)])
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        domain_command("sample", [str(folder)])


def test_files_belong_to_the_domain_that_measures_them(toys, tmp_path, monkeypatch):
    measuring = replace(toys, measures=(".toy", ".zip"))
    monkeypatch.setattr(registry, "domains", lambda: {"others": toys, "toys": measuring})
    folder = tmp_path / "things" / "deep"
    folder.mkdir(parents=True)
    things = folder.parent
    (folder / "a.txt").write_text("")
    assert measured_by(str(things)) is None
    for name in ("b.TOY", "c.toy.gz"):
        (folder / name).write_text("")
        assert measured_by(str(things)) is measuring
        assert measured_by(str(folder / name)) is measuring
        (folder / name).unlink()
    assert measured_by(str(folder / "b.toy")) is None
    (folder / "b.toy").write_text("")
    for mark in ("config.json", "model/config.json", "recipe.json"):  # a model, or a run
        (things / mark).parent.mkdir(exist_ok=True)
        (things / mark).write_text("{}")
        assert measured_by(str(things)) is None
        (things / mark).unlink()
    assert measured_by(str(things)) is measuring
    monkeypatch.setattr(registry, "domains", lambda: {"toys": toys})
    assert measured_by(str(things)) is None


def test_a_command_without_a_model_says_how(capsys):
    domain_command("sample", ["--help"])
    assert capsys.readouterr().out.startswith("usage: feller sample MODEL [flags]")
    for argv in ([], ["-n", "3"]):
        with pytest.raises(ValueError, match="a model is missing; `feller list` names them"):
            domain_command("sample", argv)


FROM_HUB = """
import sys
from pathlib import Path
from feller.core.registry import RegistryError, load, model_folder

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


def test_a_model_comes_from_the_hub(tmp_path):
    folder = save_model(pictures.model(), tmp_path / "tiny", card=pictures.CARD)
    (folder / "optimizer.bin").write_bytes(b"not needed")
    names = ["hf-hub:org/tiny", "hf-hub:org/none", "hf-hub:or g/x"]
    with hub.serve({"org/tiny": folder}) as address:
        environment = hub.environment(address, tmp_path / "home")
        found = from_hub(environment, folder, *names)
    assert found[0] == "README.md card.json config.json model.safetensors"
    assert found[1] == "hf-hub:org/none does not exist, or is private and needs `hf auth login`"
    assert found[2].startswith("hf-hub:or g/x cannot be had: Repo id must ")
    assert len(found) == 3

    # The server is gone: what was fetched stays, and the rest cannot be had.
    offline = from_hub(environment, folder, *names[:2])
    assert offline[0] == found[0]
    assert offline[1].startswith("hf-hub:org/none cannot be had: ")
    assert len(offline) == 2


@pytest.mark.parametrize("text", ['{"name": "soup"}', "[]"])
def test_a_recipe_of_something_else_is_none(tmp_path, text):
    card = ModelCard(name="toys/none")
    folder = save_model(points.recipe().model.build(), tmp_path / "model", card=card)
    (tmp_path / "recipe.json").write_text(text)
    assert data_of(str(folder)) is None
