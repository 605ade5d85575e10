"""A network of one's own: made, saved and loaded as those that are here."""

from dataclasses import dataclass, replace

import texts
import torch
from torch import nn

from feller.core.checkpoint import load_model, save_model
from feller.core.config import tagged
from feller.text.networks import TextNetworkConfig


@tagged("tests/bag")
@dataclass(frozen=True)
class BagConfig(TextNetworkConfig):
    dim: int = 4
    conditioned: bool = False
    num_classes: int = 0
    causal: bool = False

    def build(self, vocabulary):
        return Bag(self, vocabulary)


class Bag(nn.Module):
    def __init__(self, config, vocabulary):
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(vocabulary.size, config.dim)
        self.head = nn.Linear(config.dim, vocabulary.sampleable)

    def forward(self, x, kappa, condition=None, valid=None):
        return self.embed(x)


def test_a_network_of_ones_own_is_saved_and_loaded(tmp_path):
    model = replace(texts.model("mask").config, network=BagConfig()).build()
    save_model(model, tmp_path / "bag")
    again = load_model(tmp_path / "bag")
    assert again.config == model.config
    assert torch.equal(again.network.head.weight, model.network.head.weight)
    assert again.sample(2, seed=3) == model.sample(2, seed=3)
