"""What a model costs: operations counted by hand, and memory that is really kept."""

from dataclasses import replace

import pictures
import torch
from points import recipe as points_recipe
from torch.autograd.graph import saved_tensors_hooks

from feller.core.heads import JumpHead
from feller.core.losses import Objective
from feller.core.training.cost import Cost, cost_of
from feller.images.models import ImageModelConfig
from feller.images.networks import DiTConfig


def test_weights_are_those_of_the_model():
    model = pictures.model()
    assert cost_of(pictures.CONFIG).parameters == sum(p.numel() for p in model.parameters())


def test_more_numbers_cost_the_last_layer_more():
    """A convolution of 3 x 3 from 8 channels to k at 8 x 8 pixels: 2 * 9 * 8 * 64 k operations."""
    one, many = (
        cost_of(replace(pictures.CONFIG, head=head))
        for head in (pictures.CONFIG.head, JumpHead(20))
    )
    assert one.flops is not None
    assert many.flops == one.flops + 2 * 9 * 8 * 64 * 20
    assert many.parameters == one.parameters + (9 * 8 + 1) * 20
    assert (many.sample_bytes or 0) > (one.sample_bytes or 0) + 4 * 64 * 20


def test_memory_is_what_a_step_keeps():
    """Of a network without attention, which keeps other tensors on other devices."""
    network = replace(pictures.UNCONDITIONAL.network, middle_attention=False)
    config, kept = replace(pictures.UNCONDITIONAL, network=network), {}
    model = config.build().train()

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    z, _ = model.codec.example(1)
    t = torch.full((1,), 0.5)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        Objective()(model, model.path, z, t, model.path.sample(z, t))
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    size = sum(storage.nbytes() for key, storage in kept.items() if key not in own)
    assert cost_of(config).sample_bytes == size


def test_a_transformer_has_a_cost():
    network = DiTConfig(in_channels=1, out_channels=1, patch_size=4)
    found = cost_of(ImageModelConfig(network=network, codec=pictures.UNCONDITIONAL.codec))
    assert found.flops is not None
    assert found.flops > 2 * found.parameters / 10  # four tokens


def test_a_model_without_an_example_has_weights_alone():
    found = cost_of(points_recipe().model)
    assert found.parameters > 0
    assert found.flops is None
    assert found.sample_bytes is None
    assert found.training_bytes(4) is None
    assert "operations" not in found.page(4)


def test_the_page_has_what_is_known():
    page = Cost(2_000_000, 10**9, 10**6).page(100)
    assert "| memory of training, a sample | 1.0 MB |" in page
    assert "| memory of training, 100 samples | 0.14 GB |" in page
