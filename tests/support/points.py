"""A domain of two coordinates, small enough to train in a test. Run as a script, it trains."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from feller.core.codec import Codec
from feller.core.config import tagged
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath
from feller.core.training import (
    Completed,
    DataConfig,
    Evaluation,
    ModelConfig,
    Optimizer,
    Recipe,
    Training,
)


class PointCodec(Codec):
    def encode(self, raw, rng=None):
        return raw

    def decode(self, z):
        return z

    def drop(self, condition, where):
        return condition.masked_fill(where, 2)


class Mlp(nn.Module):
    def __init__(self, width, dropout, classes=2):
        super().__init__()
        self.embed = nn.Embedding(classes + 1, width)
        self.door = nn.Linear(3, width)
        self.body = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, 2))

    def forward(self, x, t, condition=None):
        label = torch.full((len(x),), 2) if condition is None else condition
        return self.body(self.door(torch.cat([x, t[:, None]], 1)) + self.embed(label))


@tagged("test/points")
@dataclass(frozen=True)
class PointModelConfig(ModelConfig):
    width: int = 16
    dropout: float = 0.0
    classes: int = 2

    def build(self):
        return PointModel(self)

    def evaluation(self, model, data, *, n):
        return PointEvaluation(model, n)


@tagged("test/points of data")
@dataclass(frozen=True)
class OpenConfig(ModelConfig):
    """A model whose width is the size of its data."""

    def build(self):
        raise ValueError("the width is read off the data")

    def completed(self, recipe, data):
        model = PointModelConfig(width=len(data))
        return Completed(replace(recipe, model=model), data, f"width {len(data)}")


class PointEvaluation(Evaluation):
    """The mean of five blocks of numbers of the model's weights and the block."""

    def __init__(self, model, n):
        self.model, self.n, self.blocks = model, n, 5

    def look(self, block):
        weight = float(sum(p.double().sum() for p in self.model.parameters()))
        return torch.full((self.n, 1), block + weight, dtype=torch.float64)

    def figures(self, seen):
        assert seen.diff(dim=0).min() >= 0  # in the order of blocks
        return {"figure": float(seen.mean()), "rows": len(seen), "lost": float("nan")}


class PointModel(nn.Module, Model):
    path = GaussianPath()
    codec = PointCodec()

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.generator = GeneratorModel(
            Mlp(config.width, config.dropout, config.classes), self.path
        )
        self.kinds = self.generator.kinds

    def forward(self, x, t, condition=None):
        return self.generator(x, t, condition)

    def preview(self, stem):
        Path(f"{stem}.txt").write_text("a picture\n")


@dataclass(frozen=True)
class Corners:
    """Two corners of a square with a little noise; the label says which."""

    size: int

    def __len__(self):
        return self.size

    def __getitem__(self, indices):
        label = torch.tensor(indices) % 2
        wobble = torch.tensor([[i % 7, i % 5] for i in indices]) / 50
        return (4.0 * label[:, None] - 2) + wobble, label


@tagged("test/corners")
@dataclass(frozen=True)
class CornerData(DataConfig):
    size: int = 100
    root: str = ""

    def build(self, split="train"):
        return Corners(self.size)


def recipe(**training):
    values = {"steps": 40, "batch_size": 24, "condition_drop": 0.25, "log_every": 1} | training
    return Recipe(
        model=PointModelConfig(dropout=0.1),
        data=CornerData(),
        optimizer=Optimizer(lr=1e-2, warmup=5),
        training=Training(**{"sample_every": 0, "checkpoint_every": 1000} | values),
    )


def script_recipe(**training):
    """What this file trains where it is run: no dropout, at a rate that more steps don't change."""
    plain = recipe(**training)
    constant = replace(plain.optimizer, decay="constant")
    return replace(plain, model=PointModelConfig(), optimizer=constant)


if __name__ == "__main__":
    from feller.core.training.trainer import train

    torch.set_num_threads(1)
    steps, out, *words = sys.argv[1:]
    chosen = {"steps": int(steps), "evaluate_every": 6, "evaluate_n": 2}
    train(script_recipe(**chosen, **dict(word.split("=") for word in words)), out, cpu=True)
