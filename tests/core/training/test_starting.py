"""Fine-tuning in a run: the start, the rates of what is new, adapters, and going on with them."""

import json
import sys
from dataclasses import replace

import points
import pytest
from safetensors.torch import load_file

from feller.core.training import Optimizer
from feller.core.training.trainer import train

TABLE = "generator.network.embed.weight"
BODY = "generator.network.body.2.weight"
pytestmark = pytest.mark.filterwarnings("ignore:training.start", "ignore:.*has no.*:UserWarning")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return train(points.recipe(steps=1), tmp_path_factory.mktemp("first") / "a", cpu=True)


def recipe(first, *, classes=4, groups=(), **training):
    made = points.recipe(start=str(first), condition_drop=0.0, **training)
    optimizer = Optimizer(lr=1e-2, warmup=0, decay="constant", groups=groups)
    return replace(made, model=points.PointModelConfig(classes=classes), optimizer=optimizer)


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_rates_of_what_is_new_hold_in_a_resumed_run(first, tmp_path):
    run = tmp_path / "a"
    groups = ("new=1", "*=0")
    train(recipe(first, groups=groups, steps=1), run, cpu=True)
    facts = json.loads((run / "run.json").read_text())
    assert facts["new"] == [TABLE]
    model = train(recipe(first, groups=groups, steps=3), run, cpu=True)
    assert weights(model)[BODY].equal(weights(first)[BODY])
    fresh = train(recipe(first, groups=groups, steps=0), tmp_path / "b", cpu=True)
    assert not weights(model)[TABLE].equal(weights(fresh)[TABLE])


def test_a_strict_start_is_refused_before_a_step(first, tmp_path):
    with pytest.raises(ValueError, match=r"start-strict: .*embed\.weight \(is \[5, 16\]"):
        train(recipe(first, steps=1, start_strict=True), tmp_path / "a", cpu=True)
    assert not (tmp_path / "a" / "recipe.json").exists()


@pytest.mark.parametrize("training", [{"lora": 2}, {"start_strict": True}])
def test_what_is_for_fine_tuning_needs_a_start(training):
    with pytest.raises(ValueError, match=r"need training\.start"):
        points.recipe(**training)


def test_adapters_are_merged_and_kept(first, tmp_path):
    pytest.importorskip("peft")
    run = tmp_path / "a"
    train(recipe(first, lora=2, steps=2), run, cpu=True)
    model = train(recipe(first, lora=2, steps=4), run, cpu=True)
    saved, before, kept = (
        weights(model),
        weights(first),
        load_file(run / "adapter/lora.safetensors"),
    )
    assert saved.keys() == before.keys()
    assert json.loads((run / "adapter/lora.json").read_text()) == {"rank": 2, "scaling": 1.0}
    name = BODY.removesuffix(".weight")
    a, b = (kept[f"{name}.lora_{part}.default.weight"] for part in "AB")
    assert (saved[BODY] - before[BODY]).allclose(b @ a, atol=1e-6)
    assert b.abs().max() > 0
    for bias in (name + ".bias", "generator.network.door.bias"):
        assert saved[bias].equal(before[bias])
    card = json.loads((model / "card.json").read_text())
    assert card["training"]["lora"] == 2
    assert card["parameters"] == sum(value.numel() for value in saved.values())


def test_adapters_need_their_package(first, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"^training\.lora needs a package: pip install peft$"):
        train(recipe(first, lora=2, steps=1), tmp_path / "a", cpu=True)
