import threading
from itertools import islice

import points
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from feller.core.training import saving
from feller.core.training.checkpointing import load_latest
from feller.core.training.loop import build_run, training_steps
from feller.core.training.saving import Saver


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


@pytest.fixture
def door(monkeypatch):
    """Opens when a file may be written."""
    event = threading.Event()

    def slow(*args):
        assert event.wait(30)
        save_file(*args)

    monkeypatch.setattr(saving, "save_file", slow)
    yield event
    event.set()


def names(folder):
    return sorted(found.name for found in folder.iterdir())


def test_steps_are_taken_while_a_state_is_written_and_it_is_the_old_one(
    accelerator, door, tmp_path
):
    run = build_run(points.recipe(steps=9), accelerator)
    steps = training_steps(run)
    list(islice(steps, 3))
    with Saver(run, tmp_path) as saver:
        saver.reserve()
        saver.save()
        losses = [record.loss for record in islice(steps, 4)]
        assert saver.heed(5) == 5
        assert (names(tmp_path), run.saved) == ([".step_00000003.partial"], -1)
        door.set()
        saver.finish()
        assert (names(tmp_path), run.saved) == (["step_00000003"], 3)
        assert saver.heed() == 0
    resumed = build_run(run.recipe, accelerator)
    load_latest(resumed, tmp_path)
    assert [record.loss for record in islice(training_steps(resumed), 4)] == losses


def test_one_is_finished_before_the_next_and_none_is_written_twice(accelerator, door, tmp_path):
    run = build_run(points.recipe(steps=9, keep=3), accelerator)
    steps = training_steps(run)
    with Saver(run, tmp_path) as saver:
        for _ in range(2):
            next(steps)
            saver.save()
            door.set()
        saver.finish()
        assert names(tmp_path) == ["step_00000001", "step_00000002"]
        door.clear()
        saver.save()  # it is there: nothing waits at the door
        saver.finish()


def test_what_fails_in_the_thread_is_raised_at_the_next_step(accelerator, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    run = build_run(points.recipe(steps=9), accelerator)
    next(training_steps(run))
    with Saver(run, tmp_path) as saver:
        with monkeypatch.context() as patch:
            patch.setattr(saving, "save_file", full)
            saver.save()
            with pytest.raises(OSError, match=r"step_00000001 cannot be written: No space left"):
                saver.finish()
        assert (names(tmp_path), run.saved) == ([], -1)
        saver.save()
        next(run.bare_model.parameters()).data.fill_(torch.inf)  # after its copy was made
        saver.finish()
        run.step = 2
        saver.save()
        with pytest.raises(ValueError, match="is not finite at step 2: nothing is saved"):
            saver.finish()
    assert names(tmp_path) == ["step_00000001"]


def test_where_others_may_be_gone_the_first_process_finishes_and_saves(accelerator, door, tmp_path):
    run = build_run(points.recipe(steps=9, keep=3), accelerator)
    steps = training_steps(run)
    with Saver(run, tmp_path) as saver:
        next(steps)
        saver.save()
        next(steps)
        door.set()
        saver.save_alone()
    assert names(tmp_path) == ["step_00000001", "step_00000002"]
