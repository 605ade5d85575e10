"""The model of waves: a perceptron on the Gaussian path. Own types are tagged `waves/...`."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from feller.core.config import tagged
from feller.core.grids import uniform_grid
from feller.core.models import GeneratorModel, Model
from feller.core.own_models import TensorCodec
from feller.core.paths import GaussianPath
from feller.core.random import rows
from feller.core.solvers import HEUN, RungeKutta, simulate
from feller.core.training import DataConfig, ModelConfig


@tagged("waves/model")
@dataclass(frozen=True, kw_only=True)
class WaveModelConfig(ModelConfig):
    """What a `WaveModel` is made of: every field is a flag of `feller train`."""

    points: int = 16
    """Points of a wave."""
    width: int = 64
    """Width of the network."""
    path: GaussianPath = field(default_factory=GaussianPath)
    """The conditional path."""

    def build(self) -> "WaveModel":
        """Make the model with fresh weights."""
        return WaveModel(self)


class Network(nn.Module):
    """A velocity at (x, t)."""

    def __init__(self, config: WaveModelConfig) -> None:
        super().__init__()
        layers = [nn.Linear(config.points + 1, config.width), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(config.width, config.points))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the velocity."""
        return self.layers(torch.cat([x, t[:, None]], dim=1))


class WaveModel(nn.Module, Model):
    """A flow of waves."""

    def __init__(self, config: WaveModelConfig) -> None:
        super().__init__()
        self.config, self.codec, self.path = config, TensorCodec(), config.path
        self.generator = GeneratorModel(Network(config), config.path)
        self.kinds = self.generator.kinds

    def forward(self, x: Tensor, t: Tensor, condition: None = None):
        """Return the generator."""
        return self.generator(x, t, condition)

    def sample(self, n: int, *, steps: int = 20, seed: int = 0) -> Tensor:
        """Draw waves; wave i depends on the seed and on i."""
        x_0 = self.path.sample_source((n, self.config.points), rows(seed, 0, n, stream="sample"))
        with torch.no_grad():
            return simulate(self, x_0, uniform_grid(steps), RungeKutta(HEUN)).state

    def preview(self, stem: Path) -> None:
        """Write samples while training."""
        np.savetxt(stem.with_suffix(".csv"), self.sample(8).numpy(), delimiter=",")


class Waves:
    """Sines of any phase."""

    def __init__(self, size: int, points: int) -> None:
        grid = torch.arange(points) * 2 * torch.pi / points
        phase = torch.linspace(0, 2 * torch.pi, size)
        self.waves = (grid + phase[:, None]).sin()

    def __len__(self) -> int:
        return len(self.waves)

    def __getitem__(self, indices: list[int]) -> Tensor:
        return self.waves[indices]


@tagged("waves/data")
@dataclass(frozen=True, kw_only=True)
class WaveData(DataConfig):
    """Where waves come from: here a formula, with you files."""

    size: int = 1000
    """How many waves."""
    points: int = 16
    """Points of a wave."""

    def build(self, split: str = "train") -> Waves:
        """Open the data of one split."""
        return Waves(self.size, self.points)
