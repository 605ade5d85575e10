"""A traced step counts what torch computes and keeps."""

from dataclasses import replace

import pictures
import points
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from feller.core.training import Optimizer, Recipe, Training
from feller.core.training.tracing import trace_step
from feller.images.data import ImageData
from feller.text.recipes import shakespeare_ar


def small():
    base = shakespeare_ar()
    blocks = replace(base.model.network.transformer, dim=32, depth=2, num_heads=2)
    network = replace(base.model.network, transformer=blocks)
    codec = replace(base.model.codec, length=24)
    model = replace(base.model, network=network, codec=codec)
    return replace(base, model=model, optimizer=Optimizer())


def real(recipe, samples):
    """Operations of a step, and what its forward pass keeps, with numbers."""
    model, kept = recipe.model.build().train(), {}
    z, _ = model.codec.example(samples)

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with FlopCounterMode(display=False) as counter:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            (loss,) = recipe.objective.by_part(model, model.path, z, 0.5, z).values()
        loss.mean().backward()
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    size = sum(storage.nbytes() for key, storage in kept.items() if key not in own)
    return counter.get_total_flops(), size


def test_operations_and_activations_are_those_of_a_real_step():
    recipe, samples = small(), 3
    trace = trace_step(recipe, samples)
    flops, size = real(recipe, samples)
    assert trace.flops == flops
    assert trace.activations == pytest.approx(size, rel=0.001)
    assert trace.tokens == 24


def test_states_are_counted_by_hand():
    recipe = Recipe(
        model=pictures.CONFIG, data=ImageData(source="drawn"), training=Training(batch_size=4)
    )
    trace, many = trace_step(recipe, 4), trace_step(recipe, 8)
    size = 4 * sum(p.numel() for p in recipe.model.build().parameters())
    assert trace.weights == pytest.approx(size, rel=0.01)
    assert trace.gradients == size
    assert trace.moments == 2 * size
    assert trace.averages == pytest.approx(size, rel=0.01)
    assert many.activations == pytest.approx(2 * trace.activations, rel=0.02)
    assert many.flops == 2 * trace.flops
    assert trace.peak > trace.weights + trace.averages + trace.moments + trace.activations


def test_recomputing_keeps_less_and_computes_more():
    recipe = small()
    whole, again = trace_step(recipe, 4), trace_step(recipe, 4, recompute=True)
    assert again.activations < whole.activations / 3
    assert whole.flops * 1.2 < again.flops < whole.flops * 1.4
    assert again.peak < whole.peak


def test_a_recipe_without_an_example_is_refused():
    with pytest.raises(LookupError, match="has no example"):
        trace_step(points.recipe(), 2)
    assert torch.get_default_device().type == "cpu"


def test_each_average_is_a_copy_and_adapters_alone_have_gradients():
    recipe = small()
    one = trace_step(recipe, 1)
    two = replace(recipe, training=replace(recipe.training, ema_decays=(0.9, 0.99)))
    assert trace_step(two, 1).averages == pytest.approx(3 * one.averages, rel=0.01)
    pytest.importorskip("peft", reason="adapters need peft")
    thin = replace(recipe, training=replace(recipe.training, start="somewhere", lora=2))
    assert 0 < trace_step(thin, 1).gradients < 0.3 * one.gradients
