"""A tiny model of proteins, whose weights are random and yet do something."""

import torch

from feller.core.cards import ModelCard
from feller.core.checkpoint import save_model
from feller.proteins.models import ProteinModelConfig
from feller.proteins.networks import FrameTransformerConfig

CARD = ModelCard(name="toys/proteins")
NETWORK = FrameTransformerConfig(
    dim=16, pair=4, depth=1, num_heads=2, updates=1, self_conditioning=True
)


def model():
    """The model, with the same weights each time."""
    made = ProteinModelConfig(network=NETWORK).build().eval()
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=rng))
    return made


def save(folder):
    """The folder of that model."""
    return save_model(model(), folder, card=CARD)
