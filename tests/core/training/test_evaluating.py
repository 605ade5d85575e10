"""Figures of samples while a model trains; `test_trainer` has them of two processes."""

import json

import points
import pytest
from safetensors.torch import load_file

from feller.core.training.trainer import train


def figures(out):
    lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [line for line in lines if "loss" not in line]


def test_figures_of_samples_are_in_the_log(tmp_path):
    out = tmp_path / "a"
    train(points.recipe(steps=4, evaluate_every=2, evaluate_n=3), out, cpu=True)
    found = figures(out)
    assert [(line["step"], line["rows"], line["lost"]) for line in found] == [
        (2, 15, None), (4, 15, None),
    ]  # fmt: skip
    averaged = load_file(out / "model" / "model.safetensors")
    total = float(sum(value.double().sum() for value in averaged.values()))
    assert found[-1]["figure"] == pytest.approx(2 + total)
    train(points.recipe(steps=6), out, cpu=True)  # a resumed run may do without


def test_a_model_without_figures_says_so_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.delattr(points.PointModelConfig, "evaluation")
    with pytest.raises(ValueError, match=r"evaluate_every is 2, but .* a PointModel: set it to 0"):
        train(points.recipe(steps=4, evaluate_every=2), tmp_path / "a", cpu=True)
    assert not (tmp_path / "a" / "log.jsonl").exists()
