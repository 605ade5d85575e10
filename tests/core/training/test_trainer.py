import functools
import json
import os
import shutil
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
from terminal import feller

from feller.core.cards import ModelCard
from feller.core.commands import train as commands_train
from feller.core.config import ConfigError
from feller.core.couplings import ConditionalOT, MinibatchOT, coupling_of
from feller.core.files import locked
from feller.core.nn.ema import EMA
from feller.core.noise import Noised
from feller.core.registry import load
from feller.core.runs import read_run
from feller.core.training import loop, trainer
from feller.core.training.checkpointing import load_checkpoint
from feller.core.training.loop import build_run
from feller.core.training.saving import Saver
from feller.core.training.trainer import train

SCRIPT = Path(points.__file__)


def log(out):
    lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [line for line in lines if "loss" in line]


def figures(out):
    lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [line for line in lines if "loss" not in line]


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


def test_a_recipe_is_completed_from_its_data(tmp_path, capsys):
    out = tmp_path / "a"
    recipe = replace(points.recipe(steps=1), model=points.OpenConfig())
    train(recipe, out, cpu=True)
    assert "width 100\n" in capsys.readouterr().out
    written = json.loads((out / "recipe.json").read_text())["model"]
    assert written["type"] == "test/points" and written["width"] == 100
    train(replace(recipe, training=replace(recipe.training, steps=2)), out, cpu=True)  # it resumes
    other = replace(recipe, data=points.CornerData(size=90))
    with pytest.raises(ValueError, match=r"begun with data.size = 100, not 90"):
        train(other, out, cpu=True)


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
    with pytest.raises(ValueError, match=r"took its 2 steps with optimizer\.lr = 0\.01, not 0\.5"):
        train(changed, tmp_path / "a", cpu=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="is not a run"):
        train(recipe, tmp_path / "b", cpu=True)


def test_mixed_precision_on_a_cpu_is_refused(tmp_path):
    with pytest.raises(ValueError, match="mixed precision"):
        train(points.recipe(steps=2, mixed_precision="bf16"), tmp_path / "a", cpu=True)


@pytest.mark.gate
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


def test_slots_of_time_go_on_one_from_another(tmp_path, capsys):
    """Each takes a step at least, saves, and has a model so far; the last has that of one slot."""
    whole = train(points.recipe(steps=4), tmp_path / "whole", cpu=True)
    recipe, out = points.recipe(steps=4, max_minutes=1e-9), tmp_path / "slots"
    for step in (1, 2, 3):
        assert train(recipe, out, cpu=True) is None
        said = f"stopped at step {step}; the same command resumes from here"
        assert said in capsys.readouterr().out
        assert ModelCard.read(out / "model").training["steps"] == step
        so_far = load_file(out / "model" / "model.safetensors")
        assert read_run(out).status == "stopped"
    model = train(recipe, out, cpu=True)
    assert model == out / "model"
    assert [line["step"] for line in log(out)] == [1, 2, 3, 4]
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (model, whole))
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert not all(so_far[name].equal(theirs[name]) for name in theirs)
    assert read_run(out).status == "finished"


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
    with pytest.raises(ValueError, match=r"not finite in the last 8 steps.*: lower optimizer\.lr"):
        train(wild, tmp_path / "a", cpu=True)
    (kept,) = (tmp_path / "a" / "checkpoints").iterdir()
    run = build_run(wild, Accelerator(cpu=True))
    load_checkpoint(run, kept)
    assert run.step < 9
    assert all(p.isfinite().all() for p in run.bare_model.parameters())


def test_nor_do_those_of_a_run_that_is_stopped(tmp_path, monkeypatch):
    recipe = points.recipe(steps=9, log_every=9, checkpoint_every=9)
    wild = replace(recipe, optimizer=replace(recipe.optimizer, lr=1e30, clip=0.0))
    monkeypatch.setattr(Saver, "heed", lambda saver, asked=0: 15 * (saver._run.step == 5))
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


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_in_one_of_two_processes_loses_nothing(rank, tmp_path):
    out, script = tmp_path / "a", tmp_path / "failing.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        "import points\n"
        "from feller.core.training import loop\n"
        "from feller.core.training.trainer import train\n"
        "plain = loop.losses_of_rows\n"
        "def failing(run, batch, rows):\n"
        f"    if run.step == 12 and run.accelerator.process_index == {rank}:\n"
        "        raise ValueError('a corrupt image')\n"
        "    return plain(run, batch, rows)\n"
        "loop.losses_of_rows = failing\n"
        "train(points.recipe(steps=20), sys.argv[1], cpu=True)\n"
    )
    command = launched(2, script, out)
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode != 0
    assert "a corrupt image" in done.stderr
    assert [found.name for found in (out / "checkpoints").iterdir()] == ["step_00000012"]


@pytest.mark.gate
def test_two_processes_give_the_curve_of_one(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    train(points.script_recipe(steps=12, evaluate_every=6, evaluate_n=2), one, cpu=True)
    command = launched(2, SCRIPT, 12, two)
    subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True, timeout=240)
    cards = [json.loads((out / "model" / "card.json").read_text()) for out in (one, two)]
    assert [card["training"]["processes"] for card in cards] == [1, 2]
    curves = [[line["loss"] for line in log(out)] for out in (one, two)]
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)
    measured = [[(line["step"], line["rows"], line["figure"]) for line in figures(out)]
                for out in (one, two)]  # fmt: skip
    assert [line[:2] for line in measured[0]] == [(6, 10), (12, 10)]
    for first, second in zip(*measured, strict=True):
        assert first == pytest.approx(second, rel=1e-4)
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
    with pytest.raises(ValueError, match=r"does not fit the network: generator\.network"):
        train(wide, tmp_path / "b", cpu=True)


@pytest.mark.filterwarnings("ignore:training.start")
def test_fine_tuning_to_other_classes_makes_their_weights_anew(tmp_path, capsys):
    first = train(points.recipe(steps=1), tmp_path / "a", cpu=True)
    more = replace(
        points.recipe(steps=0, start=str(first)), model=points.PointModelConfig(classes=4)
    )
    second = train(more, tmp_path / "b", cpu=True)
    name = "generator.network.embed.weight"
    assert f"initialised: {name} (is [5, 16], was [3, 16])\n" in capsys.readouterr().out
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
    with pytest.warns(UserWarning, match="the weights come from another model: ") as caught:
        train(points.recipe(steps=0, start=str(first)), tmp_path / "b", cpu=True)
    (said,) = [str(warning.message) for warning in caught]
    assert f"and was '{'x' * 36}..." in said
    assert "one is missing and was 1; " in said
    assert said.endswith(" more")
    assert "\n" not in said


def test_a_field_newer_than_the_weights_is_no_other_model(tmp_path):
    first = train(points.recipe(steps=0), tmp_path / "a", cpu=True)
    config = json.loads((first / "config.json").read_text())
    del config["model"]["classes"]  # as it was before there was one
    (first / "config.json").write_text(json.dumps(config))
    train(points.recipe(steps=0, start=str(first)), tmp_path / "b", cpu=True)  # without a warning


def test_a_recipe_with_nan_is_refused_before_the_data_are_read(tmp_path):
    recipe = points.recipe(steps=1)
    recipe = replace(recipe, model=replace(recipe.model, dropout=float("nan")))
    with pytest.raises(ValueError, match=r"model\.dropout is nan: give a number"):
        train(recipe, tmp_path / "a", cpu=True)
    assert not (tmp_path / "a").exists()


def test_a_recipe_that_could_not_be_resumed_is_refused_before_the_data_are_read(tmp_path):
    recipe = points.recipe(steps=1)
    object.__setattr__(recipe.training, "start", None)  # types are checked in tests alone
    with pytest.raises(ConfigError, match=r"^recipe\.training\.start: None is not str$"):
        train(recipe, tmp_path / "a", cpu=True)
    assert not (tmp_path / "a").exists()


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


def loss_with(monkeypatch, change):
    """Train with a loss that is changed by the step."""
    plain = loop.losses_of_rows

    def changed(run, batch, rows):
        return {name: change(run, loss) for name, loss in plain(run, batch, rows).items()}

    monkeypatch.setattr(loop, "losses_of_rows", changed)


def strict(out):
    """The lines of a log, none of which holds what is no JSON, such as NaN."""

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    lines = (out / "log.jsonl").read_text().splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]


def wild_from(*steps):
    return lambda run, loss: loss * (torch.inf if run.step + 1 in steps else 1)


def test_a_bad_step_is_skipped_counted_and_told(tmp_path, monkeypatch, capsys):
    loss_with(monkeypatch, wild_from(3, 4))
    recipe = points.recipe(steps=6, checkpoint_every=1, keep=1, log_every=2)
    folder = train(recipe, tmp_path / "a", cpu=True)
    assert [line["step"] for line in strict(tmp_path / "a")] == [2, 6]
    assert [line.get("skipped") for line in strict(tmp_path / "a")] == [None, 2]
    assert all(v.isfinite().all() for v in load_file(folder / "model.safetensors").values())
    said = capsys.readouterr().out
    assert said.count("is skipped: the gradient has norm ") == 1
    assert "step 3 is skipped" in said


def test_too_many_in_a_row_end_the_run_and_name_the_last_good_state(tmp_path, monkeypatch):
    out = tmp_path / "a"
    recipe = points.recipe(steps=12, checkpoint_every=2, keep=1, bad_steps=4)
    with monkeypatch.context() as patch:
        loss_with(patch, wild_from(*range(6, 13)))
        told = r"in 4 steps in a row, up to step 9: .*last good state is .*step_00000004"
        for _ in range(2):  # and once more from there
            with pytest.raises(ValueError, match=told):
                train(recipe, out, cpu=True)
    assert not (out / "model").exists()
    assert len(strict(out)) == 5
    train(recipe, out, cpu=True)
    assert [line["step"] for line in strict(out)] == list(range(1, 13))


def test_a_checkpoint_that_falls_on_a_bad_step_is_made_after_it(tmp_path, monkeypatch):
    loss_with(monkeypatch, wild_from(4, 5))
    train(points.recipe(steps=7, checkpoint_every=4, keep=3), tmp_path / "a", cpu=True)
    names = sorted(found.name for found in (tmp_path / "a" / "checkpoints").iterdir())
    assert names == ["step_00000006", "step_00000007"]


@pytest.mark.gate
@pytest.mark.parametrize("error", [ValueError("a corrupt image"), RuntimeError("anything")])
def test_an_error_of_the_data_loses_nothing(error, tmp_path, monkeypatch):
    out, recipe = tmp_path / "a", points.recipe(steps=8)
    whole = train(recipe, tmp_path / "whole", cpu=True)

    def corrupt(run, loss):
        if run.step == 5:
            raise error
        return loss

    with monkeypatch.context() as patch:
        loss_with(patch, corrupt)
        with pytest.raises(type(error), match=str(error)):
            train(recipe, out, cpu=True)
    assert [found.name for found in (out / "checkpoints").iterdir()] == ["step_00000005"]
    model = train(recipe, out, cpu=True)
    assert [line["step"] for line in log(out)] == list(range(1, 9))
    weights = [(folder / "model.safetensors").read_bytes() for folder in (whole, model)]
    assert weights[0] == weights[1]


def test_half_a_step_is_not_saved(tmp_path, monkeypatch):
    def fail(self, model, step):
        raise RuntimeError("in the middle of weights")

    monkeypatch.setattr(EMA, "update", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        train(points.recipe(steps=3), tmp_path / "a", cpu=True)
    assert not (tmp_path / "a" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("coupling", "cost"), [(None, "changes no step"), (ConditionalOT(), "pairs fewer rows")]
)
def test_a_device_without_memory_is_one_line(coupling, cost, tmp_path, monkeypatch):
    def full(run, loss):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to")

    loss_with(monkeypatch, full)
    message = rf"no memory left at step 1: give more --training\.accumulate, which {cost}"
    recipe = points.recipe(steps=3)
    recipe = replace(recipe, coupling=coupling) if coupling else recipe
    with pytest.raises(ValueError, match=message):
        train(recipe, tmp_path / "a", cpu=True)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_each_signal_saves_and_has_its_exit_code(name, tmp_path, monkeypatch):
    number, out = getattr(signal, name), tmp_path / "a"

    def kill(run, loss):
        if run.step == 2:
            os.kill(os.getpid(), number)
        return loss

    loss_with(monkeypatch, kill)
    monkeypatch.setattr(commands_train, "parse_recipe", lambda name, flags: points.recipe(steps=9))
    before = signal.signal(number, lambda *_: None)
    try:
        code = feller("train", "points", "--out", out, "--cpu").code
    finally:
        signal.signal(number, before)
    assert code == 128 + number
    assert [found.name for found in (out / "checkpoints").iterdir()] == ["step_00000003"]
    assert not (out / "model").exists()


def test_a_signal_while_the_model_is_written_is_too_late(tmp_path, monkeypatch):
    plain = trainer.save_model

    def killed(*given, **more):
        os.kill(os.getpid(), signal.SIGUSR1)
        return plain(*given, **more)

    monkeypatch.setattr(trainer, "save_model", killed)

    def fail(*_):
        raise AssertionError("the signal got through")

    before = signal.signal(signal.SIGUSR1, fail)
    try:
        assert train(points.recipe(steps=2), tmp_path / "a", cpu=True) == tmp_path / "a" / "model"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert read_run(tmp_path / "a").status == "finished"


def test_a_second_run_in_the_folder_is_refused(tmp_path, monkeypatch):
    out = tmp_path / "a"
    train(points.recipe(steps=2), out, cpu=True)
    monkeypatch.setattr(trainer, "locked", functools.partial(locked, patience=0.1))
    with locked(out), pytest.raises(ValueError, match="a is in use by another process"):
        train(points.recipe(steps=4), out, cpu=True)
    assert len(log(out)) == 2
    train(points.recipe(steps=4), out, cpu=True)


def test_a_finished_run_is_left_as_it_is(tmp_path):
    out = tmp_path / "a"
    model = train(points.recipe(steps=4), out, cpu=True)
    card = model / "card.json"
    card.write_text(card.read_text().replace('"summary": ""', '"summary": "mine"'))
    train(points.recipe(steps=4), out, cpu=True)
    assert '"summary": "mine"' in card.read_text()
    with pytest.raises(ValueError, match=r"has taken 4 steps, more than --training\.steps 2"):
        train(points.recipe(steps=2), out, cpu=True)
    assert json.loads((out / "recipe.json").read_text())["training"]["steps"] == 4
    (model / "model.safetensors").write_bytes(b"")  # what is damaged is made again
    train(points.recipe(steps=4), out, cpu=True)
    assert load_file(model / "model.safetensors")


def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, capsys):
    out, recipe = tmp_path / "a", points.recipe(steps=6, checkpoint_every=3)
    whole = train(recipe, out, cpu=True) / "model.safetensors"
    before, state = whole.read_bytes(), out / "checkpoints" / "step_00000006" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-9])
    shutil.rmtree(out / "model")
    train(recipe, out, cpu=True)
    assert "skipped: " in capsys.readouterr().out
    assert [line["step"] for line in log(out)] == [1, 2, 3, 4, 5, 6]
    assert whole.read_bytes() == before


RELIABILITY = Path(__file__).parents[3] / "benchmarks" / "reliability"


def broken(script, *words):
    """Run a script that breaks trainings; it says what it found."""
    command = [sys.executable, RELIABILITY / script, *map(str, words)]
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.gate
def test_a_run_that_is_killed_anywhere_is_the_run():
    assert "0 faults" in broken("kill.py", "--kills", 3, "--steps", 8)


@pytest.mark.slow
def test_nothing_that_breaks_gives_a_wrong_model_or_loses_a_state():
    assert "0 faults" in broken("faults.py", "--places", 5)


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_a_run_that_is_preempted_is_the_run(sharding):
    words = ("--steps", 300, "--every", 0.5, 3, "--sharding", sharding)
    assert "preemptions, losses" in broken("preempt.py", *words)
