"""MeanFlow: the mean velocity from t to s, learnt on the core's path, is a sample in one call.

With u(x, t, s) (s - t) the way that a flow of velocity v leads from t to s, the derivative along
the flow gives u = v + (s - t) du/dt, towards whose right hand side `MeanFlow` trains: at s = t it
is flow matching. Source: Geng et al., arXiv 2505.13447, equation 6, with time from source to data.
"""

import math

import torch
from torch import nn

from feller.core import Euler, GaussianPath, GeneratorModel, MeanFlow, simulate


class Network(nn.Module):
    """A mean velocity at (x, t, s)."""

    takes_next = True  # it gets s, from the loss and by solvers

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        layers = [nn.Linear(4, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 2))

    def forward(self, x, t, condition, s):
        return self.layers(torch.cat([x, t[:, None], (s - t)[:, None]], 1))


def ring(n: int) -> torch.Tensor:
    """Draw points about four corners of a square."""
    corner = (torch.randint(4, (n,)) + 0.5) * math.pi / 2
    return 1.5 * torch.stack([corner.cos(), corner.sin()], 1) + 0.1 * torch.randn(n, 2)


def distance(x: torch.Tensor, y: torch.Tensor) -> float:
    """Return the mean Wasserstein-1 distance of two clouds along 64 directions."""
    angle = torch.arange(64) * math.pi / 64
    along = torch.stack([angle.cos(), angle.sin()])
    return float(((x @ along).sort(0).values - (y @ along).sort(0).values).abs().mean())


torch.manual_seed(0)
path, loss = GaussianPath(), MeanFlow(flow_fraction=0.25, own_velocity=False)
model = GeneratorModel(Network(), path)
optimizer = torch.optim.Adam(model.parameters(), 2e-3)
decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
for _ in range(1500):
    z, t = ring(256), torch.rand(256)
    optimizer.zero_grad()
    loss(model, path, z, t, path.sample(z, t)).mean().backward()
    optimizer.step()
    decay.step()

with torch.no_grad():
    x_0 = torch.randn(4000, 2)
    one_call = simulate(model, x_0, [0.0, 1.0], Euler()).state
    straight = x_0 + model(x_0, 0.0).velocity  # an Euler step of the flow, to the mean of the data
found, plain = distance(one_call, ring(4000)), distance(straight, ring(4000))
print(f"one call of MeanFlow {found:.3f}, of the flow {plain:.3f}; ", end="")
print(f"two sets of data {distance(ring(4000), ring(4000)):.3f}")
assert found < 0.2 and found < plain / 3
