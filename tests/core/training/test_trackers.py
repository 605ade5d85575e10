"""Trackers: what is asked for is there or refused, and gets the lines of the log."""

import json
import sys
from types import SimpleNamespace

import points
import pytest
from accelerate import tracking
from accelerate.utils import LoggerType

from feller.core.training import trackers
from feller.core.training.launching import launched
from feller.core.training.trainer import train


def test_a_tracker_that_is_not_installed_is_refused_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: [LoggerType.TENSORBOARD])
    recipe = points.recipe(trackers=("tensorboard", "wandb", "trackio"))
    with pytest.raises(ValueError, match=r"wandb is not installed: pip install wandb trackio$"):
        launched(recipe, tmp_path, cpu=True)


def test_without_trackers_there_is_the_log_alone(tmp_path):
    train(points.recipe(steps=2, log_every=1, trackers=()), tmp_path / "a", cpu=True)
    assert not (tmp_path / "a" / "tensorboard").exists()
    assert (tmp_path / "a" / "log.jsonl").read_text().count("\n") == 2


def test_a_tracker_gets_the_recipe_and_what_the_log_gets(tmp_path, monkeypatch):
    seen = []

    def init(**given):
        seen.append(given)
        return SimpleNamespace(log=lambda *a, **k: seen.append((a, k)), finish=lambda: None)

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    monkeypatch.setattr(tracking, "_available_trackers", [LoggerType.WANDB])
    recipe = points.recipe(steps=4, log_every=2, trackers=("wandb",))
    train(recipe, tmp_path / "a", cpu=True)
    begun, *lines = seen
    assert (begun["project"], begun["name"]) == ("feller", "a")
    assert begun["config"]["training.steps"] == 4
    logged = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert [given["step"] for _, given in lines] == [line.pop("step") for line in logged]
    assert [values for (values,), _ in lines] == logged
