"""Flow matching on two moons: the whole idea in one page.

A path leads from noise to each data point. Its conditional velocity is known in closed form; a
network trained to match it learns the marginal velocity, and simulating that turns noise into data.
"""

import math

import torch
from torch import nn

from feller.core.grids import uniform_grid
from feller.core.losses import Objective
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.solvers import HEUN, RungeKutta, simulate


class Network(nn.Module):
    """A velocity at (x, t)."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        layers = [nn.Linear(3, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 2))

    def forward(self, x: torch.Tensor, t: torch.Tensor, condition: None = None) -> torch.Tensor:
        return self.layers(torch.cat([x, t[:, None]], dim=1))


def moons(n: int, rng: torch.Generator) -> torch.Tensor:
    """Draw points from two interleaved half circles."""
    angle = math.pi * torch.rand(n, generator=rng)
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], dim=1)
    side = torch.rand(n, 1, generator=rng) < 0.5
    return torch.where(side, upper, -upper) + 0.05 * torch.randn(n, 2, generator=rng)


rng = torch.Generator().manual_seed(0)
torch.manual_seed(0)
path, objective = GaussianPath(), Objective()
model = GeneratorModel(Network(), path)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
for _ in range(2000):
    z, t = moons(256, rng), torch.rand(256, generator=rng)
    x_t = path.sample(z, t, rng)
    loss = objective(model, path, z, t, x_t).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

x_0 = path.sample_source((1000, 2), rng)
simulation = simulate(model, x_0, uniform_grid(20), RungeKutta(HEUN))
far = torch.cdist(simulation.state, moons(4000, rng)).min(dim=1).values
print(f"loss {loss:.3f}; {simulation.nfe} network calls; median distance {far.median():.3f}")
assert far.median() < 0.05, "samples should lie on the moons"
