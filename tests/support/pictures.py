"""A tiny model of images, whose weights are random and yet do something."""

import warnings
from dataclasses import replace

import torch

from feller.core.cards import Metric, ModelCard
from feller.core.checkpoint import save_model
from feller.images.codec import ImageCodec
from feller.images.models import ImageModelConfig
from feller.images.networks import UNetConfig

CLASSES = ("cat", "dog", "Big Bird")
NETWORK = UNetConfig(
    in_channels=1,
    out_channels=1,
    channels=(8, 16),
    blocks_per_level=1,
    attention_levels=(),
    num_classes=len(CLASSES),
    norm_groups=4,
)
CONFIG = ImageModelConfig(network=NETWORK, codec=ImageCodec((1, 8, 8), CLASSES))
UNCONDITIONAL = ImageModelConfig(
    network=replace(NETWORK, num_classes=0), codec=ImageCodec((1, 8, 8))
)
CARD = ModelCard(
    name="toys/tiny",
    task="class-conditional images, 8 x 8",
    parameters=12_345,
    data="Noise",
    dataset="drawn",
    training={"steps": 0},
    metrics=(Metric(name="accuracy", value=0.5, low=0.25, high=0.75, protocol="8 | samples"),),
    references=("arXiv 2410.20587",),
)


def model(config=CONFIG):
    """The model, with the same weights each time."""
    made = config.build()
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in made.parameters():  # a fresh one has zeros, and returns zeros
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=rng))
        if config.codec.classes:  # so that the label is seen
            network = getattr(made.model.network, "network", made.model.network)
            network.embed_label.table.weight.mul_(10)
    return made.eval()


def save(folder, config=CONFIG, card=CARD):
    """Write its folder."""
    return save_model(model(config), folder, card=card)


def script(module, side, file):
    """Write a TorchScript network of RGB images of bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module.eval(), torch.zeros(2, 3, side, side, dtype=torch.uint8))
        traced.save(file)
