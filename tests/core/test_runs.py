"""Runs by their folders: the status is what became of the run."""

import json
import os
import signal

import points
import pytest

from feller.core.files import locked
from feller.core.runs import find_runs, read_run
from feller.core.training.stopping import Stopped
from feller.core.training.trainer import train


def test_a_run_is_running_while_locked_then_finished(tmp_path):
    out = tmp_path / "a"
    train(points.recipe(steps=4, log_every=2), out, cpu=True)
    record = read_run(out)
    assert (record.status, record.step, record.steps) == ("finished", 4, 4)
    assert [step for step, _ in record.series("loss")] == [2, 4]
    assert record.best() == {}
    with locked(out):
        assert read_run(out).status == "running"


def test_a_run_that_is_stopped_is_stopped_and_one_that_fails_says_why(tmp_path, monkeypatch):
    from feller.core.training import trainer

    plain = trainer.training_steps

    def ending(act):
        def steps(run):
            for record in plain(run):
                if record.step == 3:
                    act()
                yield record

        monkeypatch.setattr(trainer, "training_steps", steps)

    ending(lambda: os.kill(os.getpid(), signal.SIGUSR1))
    with pytest.raises(Stopped):
        train(points.recipe(steps=6, log_every=1), tmp_path / "a", cpu=True)
    assert read_run(tmp_path / "a").status == "stopped"

    def fail():
        raise OSError("the disk\nis full")

    ending(fail)
    with pytest.raises(OSError, match="the disk"):
        train(points.recipe(steps=6, log_every=1), tmp_path / "b", cpu=True)
    record = read_run(tmp_path / "b")
    assert (record.status, record.why) == ("failed", "the disk is full")


def test_a_run_that_was_killed_after_its_last_state_has_failed(tmp_path):
    out = tmp_path / "deep" / "a"
    (out / "checkpoints" / "step_00000002").mkdir(parents=True)
    (out / "recipe.json").write_text('{"training": {"steps": 9}}')
    (out / "log.jsonl").write_text('{"step": 2, "loss": 1.0}\n{"step": 2, "FID": 7.0}\n')
    (record,) = find_runs(tmp_path)
    assert (record.status, record.step, record.steps) == ("stopped", 2, 9)
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": 3, "loss": 0.5, "FID": 8.0}) + '\n{"step": 4, "lo')
    record = read_run(out)
    assert (record.status, record.step, record.last("loss")) == ("failed", 3, 0.5)
    assert record.best() == {"FID": (2, 7.0)}


@pytest.mark.parametrize(
    "text", [b"\xff{[", b'{"training": [], "sessions": [1]}', b'{"training": {"steps": "9"}}']
)
def test_what_is_damaged_counts_as_not_there(text, tmp_path):
    for name in ("recipe.json", "run.json", "log.jsonl"):
        (tmp_path / name).write_bytes(text)
    assert (read_run(tmp_path).step, read_run(tmp_path).steps) == (0, 0)
    with pytest.raises(ValueError, match="is not a folder"):
        find_runs(tmp_path / "run.json")
