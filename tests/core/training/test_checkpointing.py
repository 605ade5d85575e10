from itertools import islice

import points
import pytest
import torch
from accelerate import Accelerator

from feller.core.training.checkpointing import (
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from feller.core.training.loop import build_run, training_steps


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


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


def test_only_the_last_are_kept_and_no_pickle(accelerator, tmp_path):
    run = build_run(points.recipe(steps=9, keep=2), accelerator)
    for record in training_steps(run):
        if record.step % 3 == 0:
            save_checkpoint(run, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_00000006", "step_00000009"]
    files = {p.name for p in latest_checkpoint(tmp_path).iterdir()}
    assert files == {"state.safetensors", "state.json"}


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


@pytest.mark.parametrize("file", ["state.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_named(file, accelerator, tmp_path):
    run = build_run(points.recipe(steps=1), accelerator)
    list(training_steps(run))
    save_checkpoint(run, tmp_path)
    checkpoint = latest_checkpoint(tmp_path)
    (checkpoint / file).write_bytes((checkpoint / file).read_bytes()[:5])
    with pytest.raises(ValueError, match="step_00000001 is damaged") as caught:
        load_checkpoint(run, checkpoint)
    assert "\n" not in str(caught.value)
