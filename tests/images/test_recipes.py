"""Recipes of images: each builds, suits its data, and takes a step."""

import math
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from feller.core.config import decode, encode
from feller.core.domains import domains, recipe
from feller.core.generators import Flow, Jump
from feller.core.pair_data import save_pairs
from feller.core.training import Recipe
from feller.core.training.loop import build_run, training_steps
from feller.core.training.starting import first_weights
from feller.images import recipes
from feller.images.drawing import Request, pairs
from feller.images.sampling import Sampling
from feller.images.shapes import SHAPES

EVERY = domains()["images"].recipes
NAMES = sorted(EVERY.keys() - {"folder"})  # which is sized by its data: test_fitting.py
LARGE = ("cifar10", "imagenet32")
TINY = [name for name in NAMES if not name.startswith(LARGE) and "reflow" not in name]


@pytest.fixture(params=NAMES)
def found(request):
    return recipe(f"images/{request.param}")


def parameters(model_config):
    with torch.device("meta"):
        return sum(p.numel() for p in model_config.build().parameters())


def test_every_recipe_is_registered():
    assert {name.replace("_", "-") for name in recipes.__all__} == set(EVERY)


def test_a_recipe_builds(found):
    assert isinstance(found, Recipe)
    with torch.device("meta"):
        model = found.model.build()
        x, labels = model.codec.example(2)
        shape = x.shape[1:]
        moved = model(x, torch.zeros(2), labels).split()
    assert moved.drift is None or moved.drift.shape == (2, *shape)
    assert all(jump.intensity.shape == (2, *shape) for jump in moved.jumps)
    assert model.kinds == model.model.head.kinds


def test_a_recipe_survives_json(found):
    assert decode(encode(found)) == found


def test_a_recipe_makes_sense(found):
    training, codec = found.training, found.model.codec
    assert found.optimizer.warmup <= training.steps / 10
    assert training.sample_every % training.checkpoint_every == 0 or training.steps <= 12_000
    assert (training.condition_drop > 0) == bool(codec.classes)
    assert found.model.network.out_channels == codec.shape[0]
    rates = [found.optimizer.rate(step, training.steps) for step in (0, training.steps - 1)]
    assert all(0 < rate <= found.optimizer.lr for rate in rates)


def test_the_sizes_are_the_published_ones():
    assert parameters(recipes.cifar10_flow().model) == 35_746_307
    assert 32e6 < parameters(recipes.cifar10_dit_flow().model) < 34e6
    for small in ("fashion-flow", "fashion-joint", "mnist-discrete", "cifar10-joint"):
        assert parameters(recipe(f"images/{small}").model) < 4e6  # a model stays below 16 MB
    large = parameters(recipes.cifar10_large_joint().model)
    assert large - 35_746_307 == (9 * 128 + 1) * 3 * 33  # what reads the bins and the rate


def test_classes_are_those_of_the_data():
    assert recipes.drawn_flow().model.codec.classes == SHAPES
    assert recipes.mnist_flow().model.codec.label("7") == 7
    assert recipes.fashion_flow().model.codec.label("ankle boot") == 9
    assert recipes.cifar10_dit_flow().model.codec.label("truck") == 9
    assert recipes.cifar10_flow().model.codec.classes == ()
    for name in NAMES:
        assert recipe(f"images/{name}").model.codec.flip == name.startswith(LARGE)


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_recipe_takes_a_step(name):
    found = recipe(f"images/{name}")
    data = replace(found.data, source="drawn")
    training = replace(found.training, batch_size=4, steps=1)
    run = build_run(replace(found, data=data, training=training), Accelerator(cpu=True))
    assert run.bare_model.config.condition_drop == training.condition_drop == 0.1
    before = [p.detach().clone() for p in run.bare_model.parameters()]
    (record,) = training_steps(run)
    assert record.step == 1
    assert 0.2 < float(record.loss) < 5  # a fresh network returns zeros: E |z - x_0|^2
    assert math.isfinite(float(record.gradient_norm))
    after = run.bare_model.parameters()
    assert any(not a.equal(b) for a, b in zip(before, after, strict=True))


def test_joint_recipes_learn_a_flow_and_a_jump_by_name():
    found = recipe("images/fashion-joint")
    assert found.model.head.part_kinds() == (frozenset({Flow}), frozenset({Jump}))
    assert found.model.head.weights == (0.5, 0.5)
    data = replace(found.data, source="drawn")
    training = replace(found.training, batch_size=4, steps=1)
    run = build_run(replace(found, data=data, training=training), Accelerator(cpu=True))
    (record,) = training_steps(run)
    assert list(record.losses) == ["flow", "jump"]


def test_a_flow_is_trained_on_its_own_pairs(tmp_path):
    found = recipe("images/fashion-reflow")
    model = found.model.build().eval()
    labels = torch.arange(4)
    made = pairs(model, Request(n=4, labels=labels, seed=3), Sampling(steps=1, solver="euler"))
    images, _ = model.draw(4, labels, Sampling(steps=1, solver="euler"), seed=3)
    assert model.codec.encode((images, None))[0].equal(made.x_1)  # from the noise of its own
    data = replace(found.data, folder=str(save_pairs(made, tmp_path / "pairs")))
    training = replace(found.training, batch_size=4, steps=1)
    run = build_run(replace(found, data=data, training=training), Accelerator(cpu=True))
    (record,) = training_steps(run)
    assert 0.1 < float(record.loss) < 5
    assert run.bare_model.coupling == found.coupling


def test_a_flow_learns_to_inpaint_from_the_weights_of_one_that_knew_no_pixels():
    found = recipe("images/fashion-inpaint")
    data = replace(found.data, source="drawn")
    small = replace(found, data=data, training=replace(found.training, batch_size=4, steps=1))
    accelerator = Accelerator(cpu=True)
    with pytest.warns(UserWarning, match="pixel_times is True and was False"):
        run = build_run(small, accelerator, first_weights(small, accelerator, None))
    assert run.new == ("model.network.network.stem.weight",)  # which sees one channel more
    (record,) = training_steps(run)
    assert math.isfinite(float(record.loss))
    assert run.bare_model.config.pixel_times
