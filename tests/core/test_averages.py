"""Averages of a run, by name: those that it kept, and those that its snapshots make."""

from dataclasses import replace

import points
import pytest
import torch

from feller.core.averages import average_folder
from feller.core.cards import ModelCard
from feller.core.commands.dispatch import domain_command
from feller.core.domains import RegistryError
from feller.core.registry import data_of, load
from feller.core.training.trainer import train


def weights(model):
    return torch.cat([p.flatten() for p in model.parameters()])


@pytest.fixture(scope="module")
def recipe():
    found = points.recipe(
        steps=30, ema_decay=0.6, ema_decays=(0.3, 0.7), ema_snapshot_every=5, checkpoint_every=10
    )
    return replace(found, optimizer=replace(found.optimizer, decay="constant"))


@pytest.fixture(scope="module")
def known():
    """The models of a registry that has the toy domain's type."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("feller.core.checkpoint._import_type", lambda tag, homes: None)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory, recipe, known):
    out = tmp_path_factory.mktemp("run") / "a"
    train(recipe, out, cpu=True)
    return out


def test_each_average_loads_by_its_name(run):
    found = {name: weights(load(run, average=name)) for name in ("0.3", "0.6", "0.7", "")}
    assert torch.equal(found["0.6"], found[""])
    assert not torch.equal(found["0.3"], found["0.6"])
    assert not torch.equal(found["0.7"], found["0.6"])
    assert data_of(average_folder(run, "0.7")) == points.CornerData()


def test_a_width_is_made_of_snapshots_once(run):
    kept, made = (weights(load(run, average=f"width={w}")) for w in (0.1, 0.13))
    assert not torch.equal(kept, made)
    assert (kept - made).norm() < 0.2 * kept.norm()
    folder = average_folder(run, "width=0.13")
    changed = (folder / "model.safetensors").stat().st_mtime_ns
    assert average_folder(run, "width=0.130") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == changed
    assert ModelCard.read(folder).training["steps"] == 30


def test_averages_go_on_with_their_run(run, recipe, tmp_path):
    """A run in two parts has the averages of one that was not stopped, and makes widths anew."""
    parts = tmp_path / "b"
    for steps in (10, 30):
        train(replace(recipe, training=replace(recipe.training, steps=steps)), parts, cpu=True)
        average_folder(parts, "width=0.2")
    for name in ("0.3", "0.7", "width=0.1", "width=0.2"):
        one, other = (load(home, average=name) for home in (run, parts))
        assert torch.allclose(weights(one), weights(other), rtol=0, atol=1e-6), name


def test_what_is_no_average_is_refused(run, tmp_path):
    for name in ("0.8", "last", "width=x"):
        with pytest.raises(RegistryError, match=f"no average '{name}'; there are 0.6, 0.3, 0.7"):
            load(run, average=name)
    with pytest.raises(ValueError, match="width of an average is in"):
        load(run, average="width=2")
    with pytest.raises(RegistryError, match="not the folder of a finished run"):
        load(tmp_path, average="0.6")


def test_commands_take_the_average_that_is_named(run, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "feller.core.commands.dispatch.domain_of",
        lambda kind, what: type("D", (), {"commands": {"sample": "x"}}),
    )
    monkeypatch.setattr(
        "feller.core.commands.dispatch.resolve", lambda name: lambda *given: asked.append(given)
    )
    domain_command("sample", [str(run), "-n", "3", "--average", "0.7", "--seed", "-1"])
    domain_command("sample", [str(run), "--average=0.6"])
    domain_command("sample", [str(run), "--mean"])
    assert asked == [
        (str(run / "averages" / "0.7"), ["-n", "3", "--seed", "-1"]),
        (str(run / "model"), []),
        (str(run), ["--mean"]),
    ]
