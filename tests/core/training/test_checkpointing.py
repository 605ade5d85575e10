import json
import os
import random
import resource
import signal
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import points
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from feller.core.config import tagged
from feller.core.training import ModelConfig, saving
from feller.core.training.checkpointing import (
    latest_checkpoint,
    load_checkpoint,
    load_latest,
)
from feller.core.training.loop import build_run, training_steps
from feller.core.training.saving import save_checkpoint

ACCELERATOR = Accelerator(cpu=True)


@pytest.fixture
def accelerator():
    return ACCELERATOR


def states(run):
    return {
        "model": run.bare_model.state_dict(),
        "ema": run.ema.state_dict(),
        "moments": {str(k): v for k, v in run.optimizer.state_dict()["state"].items()},
    }


def assert_same(a, b):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    else:
        assert a == b


def test_twenty_resume_twenty_is_forty_bit_for_bit(accelerator, tmp_path):
    recipe = points.recipe(steps=40)
    straight = build_run(recipe, accelerator)
    all_losses = [record.loss for record in training_steps(straight)]
    first = build_run(recipe, accelerator)
    list(islice(training_steps(first), 20))
    save_checkpoint(first, tmp_path)
    torch.randn(100)  # whatever else happens to the global generator
    second = build_run(recipe, accelerator)
    load_checkpoint(second, latest_checkpoint(tmp_path))
    assert second.step == 20
    assert [r.loss for r in training_steps(second)] == all_losses[20:]
    assert_same(states(straight), states(second))


@tagged("test_checkpointing/spare")
@dataclass(frozen=True)
class SpareConfig(ModelConfig):
    """A model with a layer that nothing calls, as ends of some networks are."""

    def build(self):
        model = points.PointModelConfig().build()
        model.spare = torch.nn.Linear(2, 2)
        return model


def test_a_network_with_weights_that_the_loss_never_asks_goes_on(tmp_path):
    recipe = replace(points.recipe(steps=4), model=SpareConfig())
    straight = build_run(recipe, ACCELERATOR)
    steps = training_steps(straight)
    list(islice(steps, 2))
    save_checkpoint(straight, tmp_path)
    resumed = build_run(recipe, ACCELERATOR)
    load_checkpoint(resumed, latest_checkpoint(tmp_path))
    assert [r.loss for r in steps] == [r.loss for r in training_steps(resumed)]
    for part in ("model", "ema"):
        assert_same(states(straight)[part], states(resumed)[part])


def test_only_the_last_are_kept_and_no_pickle(accelerator, tmp_path):
    run = build_run(points.recipe(steps=9, keep=2), accelerator)
    for record in training_steps(run):
        if record.step % 3 == 0:
            save_checkpoint(run, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_00000006", "step_00000009"]
    files = {p.name for p in latest_checkpoint(tmp_path).iterdir()}
    assert files == {"SHA256SUMS", "state.safetensors", "state.json"}


def test_a_half_written_checkpoint_does_not_count(accelerator, tmp_path):
    run = build_run(points.recipe(), accelerator)
    assert latest_checkpoint(tmp_path / "none") is None
    save_checkpoint(run, tmp_path)
    (tmp_path / ".step_00000005.partial").mkdir()
    assert latest_checkpoint(tmp_path).name == "step_00000000"


def test_another_model_does_not_fit(accelerator, tmp_path):
    save_checkpoint(build_run(points.recipe(), accelerator), tmp_path)
    other = points.Recipe(model=points.PointModelConfig(width=8), data=points.CornerData())
    with pytest.raises(ValueError, match="does not fit the recipe's model"):
        load_checkpoint(build_run(other, accelerator), latest_checkpoint(tmp_path))


def saved_at(folder, *steps, recipe=None):
    """A run, and the checkpoints of some of its steps."""
    run = build_run(recipe or points.recipe(steps=steps[-1], keep=9), ACCELERATOR)
    for record in training_steps(run):
        if record.step in steps:
            save_checkpoint(run, folder)
    return run


def refusal(run, checkpoint):
    with pytest.raises(ValueError) as caught:
        load_checkpoint(run, checkpoint)
    assert str(checkpoint) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("file", ["state.safetensors", "state.json", "SHA256SUMS"])
def test_a_checkpoint_cut_anywhere_is_named(file, tmp_path):
    run = saved_at(tmp_path, 1)
    checkpoint = latest_checkpoint(tmp_path)
    whole = (checkpoint / file).read_bytes()
    rng = random.Random(0)
    for length in (0, 1, 5, *(rng.randrange(len(whole) - 1) for _ in range(20))):
        (checkpoint / file).write_bytes(whole[:length])
        assert "step_00000001 is damaged" in refusal(run, checkpoint)
    (checkpoint / file).unlink()
    assert "step_00000001 is damaged" in refusal(run, checkpoint)


def test_a_flipped_bit_is_seen_wherever_it_is(tmp_path):
    run = saved_at(tmp_path, 1)
    checkpoint = latest_checkpoint(tmp_path)
    rng = random.Random(0)
    for file in [*checkpoint.iterdir()] * 8:
        whole = file.read_bytes()
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(7)
        file.write_bytes(flipped)
        assert "step_00000001 is damaged" in refusal(run, checkpoint)
        file.write_bytes(whole)
    load_checkpoint(run, checkpoint)


def rewritten(checkpoint, change):
    """Change `state.json` as a feller from before digests would have written it."""
    file = checkpoint / "state.json"
    state = json.loads(file.read_text())
    del state["format"]
    file.write_text(json.dumps(change(state)))
    (checkpoint / "SHA256SUMS").unlink()


def without_a_moment(state):
    state["plain"]["state"].popitem()
    return state


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state | {"step": 10**12}, "state.json is of step 1000000000000"),
        (lambda state: state | {"step": "1"}, "state.json has no step"),
        (lambda state: state | {"plain": None}, "state.json has no plain"),
        (lambda state: {"step": 1}, "state.json has no seconds"),
        (lambda state: [state], "state.json is not a mapping"),
        (lambda state: state | {"plain": {}}, "state.json has no optimizer"),
        (without_a_moment, "does not fit the recipe's model and optimizer"),
        (lambda state: state | {"format": 9}, "it is of a later feller"),
    ],
)
def test_a_state_that_is_none_is_one_line(change, reason, tmp_path):
    run = saved_at(tmp_path, 1)
    rewritten(latest_checkpoint(tmp_path), change)
    assert reason in refusal(run, latest_checkpoint(tmp_path))


def test_a_checkpoint_from_before_digests_is_read(tmp_path):
    run = saved_at(tmp_path, 1)
    rewritten(latest_checkpoint(tmp_path), lambda state: state)
    load_checkpoint(run, latest_checkpoint(tmp_path))
    assert run.step == 1


def test_names_of_a_compiled_model_are_plain(tmp_path):
    run = saved_at(tmp_path, 2)
    checkpoint = latest_checkpoint(tmp_path)
    tensors = load_file(checkpoint / "state.safetensors")
    assert not [name for name in tensors if "_orig_mod" in name]
    old = {k.replace("model.", "model._orig_mod.", 1): v for k, v in tensors.items()}
    save_file(old, checkpoint / "state.safetensors")  # as they were saved before
    rewritten(checkpoint, lambda state: state)
    fresh = build_run(run.recipe, ACCELERATOR)
    load_checkpoint(fresh, checkpoint)
    assert_same(states(run), states(fresh))


def test_the_newest_that_can_be_read_is_taken_and_the_rest_named(tmp_path, capsys):
    run = saved_at(tmp_path, 1, 2, 3)
    for step, file in ((2, "state.json"), (3, "state.safetensors")):
        (tmp_path / f"step_0000000{step}" / file).write_bytes(b"{}")
    assert load_latest(run, tmp_path).name == "step_00000001"
    assert run.step == 1
    said = capsys.readouterr().out
    assert said.count("skipped: ") == 2
    assert "step_00000003 is damaged" in said
    one = replace(points.recipe(steps=2), training=replace(run.recipe.training, steps=2, keep=1))
    run.recipe = one  # the damaged ones are no reason to remove what is written now
    assert list(training_steps(run))
    save_checkpoint(run, tmp_path)
    assert load_latest(run, tmp_path).name == "step_00000002"


def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(tmp_path, monkeypatch):
    run = saved_at(tmp_path, 1, 2)
    moment = run.optimizer.state[next(run.bare_model.parameters())]["exp_avg_sq"]
    for tensor in (next(run.bare_model.parameters()), next(run.ema.model.parameters()), moment):
        before = tensor.detach().clone()
        tensor.data.view(-1)[0] = torch.inf
        run.saved = -1
        with pytest.raises(ValueError, match="is not finite at step 2: nothing is saved"):
            save_checkpoint(run, tmp_path)
        tensor.data.copy_(before)
    next(run.bare_model.parameters()).data.fill_(torch.nan)
    monkeypatch.setattr(saving, "not_finite", lambda run, tensors: None)
    save_checkpoint(run, tmp_path)  # as before they were looked at
    monkeypatch.undo()
    assert load_latest(run, tmp_path).name == "step_00000001"


def test_where_none_can_be_read_nothing_begins_anew(tmp_path):
    run = saved_at(tmp_path, 1)
    assert load_latest(run, tmp_path / "empty") is None
    (tmp_path / "step_00000001" / "state.json").unlink()
    with pytest.raises(ValueError, match=r"no checkpoint can be read: .*step_00000001 is damaged"):
        load_latest(run, tmp_path)


def test_a_full_disk_is_one_line_and_leaves_the_last_state(tmp_path):
    run = saved_at(tmp_path, 1)
    run.step = 2
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OSError, match=r"step_00000002 cannot be written: .*") as caught:
            save_checkpoint(run, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(caught.value)
    assert [found.name for found in tmp_path.iterdir()] == ["step_00000001"]
    load_checkpoint(run, latest_checkpoint(tmp_path))


def test_what_a_killed_process_left_is_swept(tmp_path):
    for name in (".step_00000007.partial", ".step_00000003.old"):
        (tmp_path / name).mkdir(parents=True)
    saved_at(tmp_path, 1)
    assert [found.name for found in tmp_path.iterdir()] == ["step_00000001"]


class Crash(BaseException):
    """A process that dies."""


def test_every_file_operation_may_be_the_last(tmp_path, monkeypatch):
    """Whatever the operation before or amid which a process dies, a whole state is there."""
    recipe = points.recipe(steps=9, keep=1)
    names = ("replace", "fsync", "mkdir", "unlink", "rmdir", "open")
    saved, point = 0, 0
    while True:
        folder = tmp_path / str(point)
        run = saved_at(
            folder, 1, recipe=replace(recipe, training=replace(recipe.training, steps=1))
        )
        run.recipe, run.step, left = recipe, 2, [point]
        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(os, name, counted(getattr(os, name), left))
            patch.setattr(saving, "save_file", counted(save_file, left, half_a_file))
            patch.setattr(Path, "write_text", counted(Path.write_text, left, half_a_text))
            try:
                save_checkpoint(run, folder)
                break
            except Crash:
                pass
        found = load_latest(build_run(recipe, ACCELERATOR), folder)
        saved += found.name == "step_00000002"
        run.step, run.saved = 3, -1
        save_checkpoint(run, folder)
        assert [p.name for p in folder.iterdir()] == ["step_00000003"]
        point += 1
    assert point > 10
    assert 0 < saved < point


def counted(operation, left, half=None):
    def maybe(*args, **options):
        if left[0] == 0:
            if half:
                half(*args)
            raise Crash
        left[0] -= 1
        return operation(*args, **options)

    return maybe


def half_a_file(tensors, file, metadata):
    save_file(tensors, file, metadata)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def half_a_text(file, text, **options):
    file.write_bytes(text.encode()[: len(text) // 2])
