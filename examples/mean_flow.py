"""MeanFlow: the mean velocity from t to s, learnt on the core's path, is a sample in one call.

With u(x, t, s) (s - t) the way that a flow of velocity v leads from t to s, the derivative along
the flow gives u = v + (s - t) du/dt, du/dt = dx u v + dt u. The network is trained towards the
right hand side, with the conditional velocity for v: at s = t it is flow matching. Source: Geng et
al., arXiv 2505.13447, equation 6, with time from source to data.
"""

import math
from typing import Any

import torch
from torch import nn

from feller.core import Flow, GaussianPath, Loss
from feller.core.solutions import solution


class MeanFlow(Loss):
    """The squared error; weights that know z, as 1 / error does, would learn another mean."""

    def __call__(self, model: Any, path, z, t, x_t, *, condition=None):
        later = torch.rand(t.shape) * (torch.rand(t.shape) < 0.75)
        s, v = t + later * (1 - t), solution(path, Flow)(path, x_t, t, z).split().drift
        along = (v, torch.ones_like(t), torch.zeros_like(s))
        u, slope = torch.func.jvp(model, (x_t, t, s), along)[:2]
        return (u - (v + (s - t)[:, None] * slope).detach()).square().mean(1)


class Network(nn.Module):
    """A mean velocity at (x, t, s)."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        layers = [nn.Linear(4, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 2))

    def forward(self, x, t, s):
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
path, network, loss = GaussianPath(), Network(), MeanFlow()
optimizer = torch.optim.Adam(network.parameters(), 2e-3)
decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
for _ in range(1500):
    z, t = ring(256), torch.rand(256)
    optimizer.zero_grad()
    loss(network, path, z, t, path.sample(z, t)).mean().backward()
    optimizer.step()
    decay.step()

with torch.no_grad():
    x_0, zero = torch.randn(4000, 2), torch.zeros(4000)
    one_call = x_0 + network(x_0, zero, zero + 1)
    straight = x_0 + network(x_0, zero, zero)  # an Euler step of the flow, to the mean of the data
found, plain = distance(one_call, ring(4000)), distance(straight, ring(4000))
print(f"one call of MeanFlow {found:.3f}, of the flow {plain:.3f}; ", end="")
print(f"two sets of data {distance(ring(4000), ring(4000)):.3f}")
assert found < 0.2 and found < plain / 3
