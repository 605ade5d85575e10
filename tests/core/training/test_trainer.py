import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import points
import pytest
import torch
from accelerate import Accelerator
from launching import ENVIRONMENT, launched
from safetensors.torch import load_file

from feller.core.couplings import MinibatchOT, coupling_of
from feller.core.noise import Noised
from feller.core.registry import load
from feller.core.training import trainer
from feller.core.training.checkpointing import load_checkpoint
from feller.core.training.loop import build_run
from feller.core.training.trainer import train

SCRIPT = Path(points.__file__)


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_leaves_everything(tmp_path):
    out = tmp_path / "a"
    model = train(points.recipe(steps=6, sample_every=3, checkpoint_every=4), out, cpu=True)
    assert model == out / "model"
    assert {p.name for p in model.iterdir()} == {
        "config.json", "model.safetensors", "card.json", "README.md",
    }  # fmt: skip
    assert [line["step"] for line in log(out)] == [1, 2, 3, 4, 5, 6]
    assert all(line["loss"] > 0 and line["samples_per_second"] > 0 for line in log(out))
    assert len(list((out / "samples").iterdir())) == 2
    assert len(list((out / "checkpoints").iterdir())) == 2
    assert list((out / "tensorboard").rglob("events.out.tfevents.*"))
    card = json.loads((model / "card.json").read_text())
    assert card["training"]["steps"] == 6
    assert card["training"]["processes"] == 1


def test_the_same_command_resumes(tmp_path):
    train(points.recipe(steps=20), tmp_path / "a", cpu=True)
    train(points.recipe(steps=40), tmp_path / "a", cpu=True)
    assert [line["step"] for line in log(tmp_path / "a")] == list(range(1, 41))
    train(points.recipe(steps=40), tmp_path / "a", cpu=True)  # finished: nothing more to do
    assert len(log(tmp_path / "a")) == 40


def test_another_recipe_or_folder_is_refused(tmp_path):
    recipe = points.recipe(steps=2)
    train(recipe, tmp_path / "a", cpu=True)
    changed = replace(recipe, optimizer=replace(recipe.optimizer, lr=0.5))
    with pytest.raises(ValueError, match=r"begun with optimizer\.lr = 0\.01, not 0\.5"):
        train(changed, tmp_path / "a", cpu=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="is not a run"):
        train(recipe, tmp_path / "b", cpu=True)


def test_mixed_precision_on_a_cpu_is_refused(tmp_path):
    with pytest.raises(ValueError, match="mixed precision"):
        train(points.recipe(steps=2, mixed_precision="bf16"), tmp_path / "a", cpu=True)


def test_a_signal_ends_with_a_checkpoint(tmp_path):
    out = tmp_path / "a"
    process = subprocess.Popen([sys.executable, SCRIPT, "1000000", out], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) != 0  # what follows on success must not follow
    assert list((out / "checkpoints").glob("step_*"))
    assert not (out / "model").exists()


def test_a_lost_step_is_logged_once(tmp_path):
    out = tmp_path / "a"
    train(points.recipe(steps=4), out, cpu=True)
    with (out / "log.jsonl").open("a") as file:  # as a crash after the last checkpoint leaves it
        file.write('{"step": 5, "loss": 1.0}\n')
    train(points.recipe(steps=6), out, cpu=True)
    with (out / "log.jsonl").open("a") as file:  # as a full disk leaves it
        file.write('{"step": 7, "lo')
    train(points.recipe(steps=8), out, cpu=True)
    assert [line["step"] for line in log(out)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_weights_that_are_no_numbers_replace_no_checkpoint(tmp_path):
    recipe = points.recipe(steps=9, log_every=9, checkpoint_every=1, keep=1)
    wild = replace(recipe, optimizer=replace(recipe.optimizer, lr=1e30, clip=0.0))
    with pytest.raises(ValueError, match=r"the loss is .* at step .*: lower optimizer\.lr"):
        train(wild, tmp_path / "a", cpu=True)
    (kept,) = (tmp_path / "a" / "checkpoints").iterdir()
    run = build_run(wild, Accelerator(cpu=True))
    load_checkpoint(run, kept)
    assert run.step < 9
    assert all(p.isfinite().all() for p in run.bare_model.parameters())


def test_nor_do_those_of_a_run_that_is_stopped(tmp_path, monkeypatch):
    recipe = points.recipe(steps=9, log_every=9, checkpoint_every=9)
    wild = replace(recipe, optimizer=replace(recipe.optimizer, lr=1e30, clip=0.0))
    monkeypatch.setattr(trainer, "_stops", lambda run, stop: run.step == 5)
    with pytest.raises(ValueError, match=r"lower optimizer\.lr"):
        train(wild, tmp_path / "a", cpu=True)
    assert not list((tmp_path / "a").glob("checkpoints/step_*"))


def test_an_error_is_told_below_the_bar(tmp_path, capsys):
    recipe = points.recipe(steps=4)
    wild = replace(recipe, optimizer=replace(recipe.optimizer, lr=1e30, clip=0.0))
    with pytest.raises(ValueError):
        train(wild, tmp_path / "a", cpu=True)
    assert capsys.readouterr().err.endswith("\n")


def test_a_loss_that_is_no_number_is_an_error_before_it_is_saved(tmp_path):
    recipe = points.recipe(steps=4)
    wild = replace(recipe, optimizer=replace(recipe.optimizer, lr=1e30, clip=0.0))
    with pytest.raises(ValueError, match=r"lower optimizer\.lr"):
        train(wild, tmp_path / "a", cpu=True)
    assert not (tmp_path / "a" / "model").exists()


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_ends_both(tmp_path):
    out = tmp_path / "a"
    command = launched(2, SCRIPT, 1_000_000, out)
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (out / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    workers = subprocess.check_output(["pgrep", "-f", f"{SCRIPT} 1000000 {out}"], text=True)
    os.kill(max(map(int, workers.split())), signal.SIGTERM)
    process.wait(timeout=90)
    assert list((out / "checkpoints").glob("step_*"))


def test_two_processes_give_the_curve_of_one(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    train(points.script_recipe(steps=12), one, cpu=True)
    command = launched(2, SCRIPT, 12, two)
    subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True, timeout=240)
    cards = [json.loads((out / "model" / "card.json").read_text()) for out in (one, two)]
    assert [card["training"]["processes"] for card in cards] == [1, 2]
    curves = [[line["loss"] for line in log(out)] for out in (one, two)]
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)
    weights = [load_file(out / "model" / "model.safetensors") for out in (one, two)]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-4, atol=1e-6)


def test_fine_tuning_starts_from_the_weights_of_a_model(tmp_path):
    first = train(points.recipe(steps=5), tmp_path / "a", cpu=True)
    recipe = points.recipe(steps=0, start=str(tmp_path / "a"))
    second = train(recipe, tmp_path / "b", cpu=True)
    old, new = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert old.keys() == new.keys() and all(old[name].equal(new[name]) for name in old)
    card = json.loads((second / "card.json").read_text())
    assert card["training"]["start"] == str(tmp_path / "a")


def test_fine_tuning_from_another_network_is_refused(tmp_path):
    first = train(points.recipe(steps=1), tmp_path / "a", cpu=True)
    wide = replace(points.recipe(steps=2, start=str(first)), model=points.PointModelConfig(32))
    with pytest.raises(ValueError, match="does not fit the network: size mismatch"):
        train(wide, tmp_path / "b", cpu=True)


@pytest.mark.filterwarnings("ignore:training.start")
def test_fine_tuning_to_other_classes_makes_their_weights_anew(tmp_path, capsys):
    first = train(points.recipe(steps=1), tmp_path / "a", cpu=True)
    more = replace(
        points.recipe(steps=0, start=str(first)), model=points.PointModelConfig(classes=4)
    )
    second = train(more, tmp_path / "b", cpu=True)
    name = "generator.network.embed.weight"
    told = f"made anew, as they do not fit: {name} is [5, 16], was [3, 16]\n"
    assert told in capsys.readouterr().out
    before, after = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert after[name].shape == (5, 16)
    assert after[name].std() > 0.5
    assert all(after[key].equal(value) for key, value in before.items() if key != name)


def test_fine_tuning_warns_of_weights_of_another_model(tmp_path):
    first = train(points.recipe(steps=0), tmp_path / "a", cpu=True)
    config = json.loads((first / "config.json").read_text())
    *_, key = config["model"]
    config["model"] |= {key: "x" * 60, "one": 1, "two": 2, "three": 3}
    (first / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="the weights are of another model: ") as caught:
        train(points.recipe(steps=0, start=str(first)), tmp_path / "b", cpu=True)
    (said,) = [str(warning.message) for warning in caught]
    assert f"and was '{'x' * 36}..." in said
    assert "one is absent and was 1; " in said
    assert said.endswith(" more")
    assert "\n" not in said


def test_the_coupling_of_a_recipe_is_that_of_its_model(tmp_path, monkeypatch):
    monkeypatch.setattr(points.PointCodec, "encode", lambda self, raw, rng=None: (raw[0], None))
    recipe = points.recipe(steps=1, condition_drop=0.0)
    folder = train(replace(recipe, coupling=MinibatchOT()), tmp_path / "a", cpu=True)
    assert json.loads((folder / "config.json").read_text())["coupling"] == {"type": "minibatch_ot"}
    assert coupling_of(load(str(folder))) == MinibatchOT()
    with pytest.raises(ValueError, match="trained with MinibatchOT"):
        Noised(load(str(tmp_path / "a")))
    assert "coupling" not in json.loads(
        (train(recipe, tmp_path / "b", cpu=True) / "config.json").read_text()
    )
