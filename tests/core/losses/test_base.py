"""Sums of losses: what they are, how they are saved, and what a run logs of them."""

import json
from dataclasses import replace

import points
import pytest
import torch
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.losses import Loss, LossSum, Objective
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.training.trainer import train

PATH = GaussianPath()


class Far(Loss):
    """The squared distance of the velocity from 0; no configuration knows it."""

    def __call__(self, model, path, z, t, x_t, *, condition=None):
        return model(x_t, t, condition).velocity.square().mean(1)


FAR = Far().named("far")


def sample(rng):
    model = GeneratorModel(lambda x, t, condition: x.tanh(), PATH)
    z, x_t = torch.randn(2, 3, 4, generator=rng)
    return model, PATH, z, 0.5, x_t


def test_losses_add_and_multiply(rng):
    given = sample(rng)
    plain, far = Objective()(*given), Far()(*given)
    total = Objective() + 0.1 * FAR
    assert_close(total(*given), plain + 0.1 * far)
    assert_close((0.5 * (total + FAR.named("again")))(*given), 0.5 * plain + 0.55 * far)
    assert_close(sum([Objective(), FAR])(*given), plain + far)
    assert_close((2.0 * Objective())(*given), 2 * plain)


def test_parts_have_names(rng):
    given = sample(rng)
    total = Objective() + 0.1 * FAR
    parts = total.by_part(*given)
    assert [*parts] == ["objective", "far"]
    assert_close(parts["far"], 0.1 * Far()(*given))
    nested = (Objective(loss_space="x_1") + total.named("all")).by_part(*given)
    assert [*nested] == ["objective", "all/objective", "all/far"]
    assert [*Objective().by_part(*given)] == [""]
    with pytest.raises(ValueError, match="2 losses of the sum are called 'objective': name one"):
        Objective() + Objective(loss_space="x_1")
    with pytest.raises(ValueError, match="two parts of the sum are called 'all/far': rename one"):
        (total.named("all") + Far().named("all/far"))(*given)


def test_a_sum_is_saved():
    total = Objective() + 0.1 * Objective(loss_space="x_1").named("data")
    assert decode(json.loads(json.dumps(encode(total)))) == total


def test_a_run_logs_each_part_and_resumes_bit_for_bit(tmp_path):
    total = Objective() + 0.25 * Objective(loss_space="x_1").named("data")
    recipe = replace(points.recipe(steps=6, log_every=2, checkpoint_every=3), objective=total)
    whole = train(recipe, tmp_path / "whole", cpu=True)
    lines = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert [*lines[0]][:4] == ["step", "loss", "loss/objective", "loss/data"]
    for line in lines:
        assert line["loss"] == pytest.approx(line["loss/objective"] + line["loss/data"])
        assert 0 < line["loss/data"] < line["loss"]
    saved = json.loads((tmp_path / "whole/recipe.json").read_text())
    assert decode(saved).objective == total
    for checkpoint in (tmp_path / "whole/checkpoints").iterdir():
        if checkpoint.name != "step_00000003":
            for file in checkpoint.iterdir():
                file.unlink()
            checkpoint.rmdir()
    again = train(recipe, tmp_path / "whole", cpu=True)
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    anew = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert anew[-1]["loss/data"] == lines[-1]["loss/data"]


def test_a_plain_loss_has_one_column(tmp_path):
    train(points.recipe(steps=1, log_every=1), tmp_path / "a", cpu=True)
    (line,) = (tmp_path / "a/log.jsonl").read_text().splitlines()
    columns = [key for key in json.loads(line) if key.startswith("loss")]
    assert [key for key in columns if not key.startswith("loss/t ")] == ["loss"]


def test_a_sum_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one term"):
        LossSum(())
