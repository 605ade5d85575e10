"""A Schroedinger bridge between two data sets: two moons become eight Gaussians.

Pairs of both sets are drawn from an entropic plan and joined by a Brownian bridge (SB-CFM). One
network learns velocity and score; simulated with the weights (1, 1) it is the stochastic process,
with (1, 0) the flow of the same marginals.
"""

import torch
from torch import nn

from feller import core
from feller.core.testing import check_solution
from feller.core.verify import Plan, Reference, verify

SCALE, STEPS = 0.5, 2000


class Network(nn.Sequential):
    """A velocity and a score, side by side in a last axis."""

    def forward(self, x, t, condition=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        waves = torch.stack([t, torch.sin(torch.pi * t), torch.cos(torch.pi * t)], 1)
        return super().forward(torch.cat([x, waves], 1)).view(-1, 2, 2)


def moons(n, rng):
    """Draw points from two interleaved half circles."""
    angle = torch.pi * torch.rand(n, generator=rng)
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], 1)
    side = torch.rand(n, 1, generator=rng) < 0.5
    return 2 * torch.where(side, upper, -upper) + 0.1 * torch.randn(n, 2, generator=rng)


def gaussians(n, rng):
    """Draw points about eight centres on a circle, to the right of the moons."""
    angle = torch.randint(8, (n,), generator=rng) * torch.pi / 4
    centre = 4 * torch.stack([angle.cos(), angle.sin()], 1)
    return torch.tensor([3.0, 0.0]) + centre + 0.2 * torch.randn(n, 2, generator=rng)


def sliced(x, y):
    """Return the Wasserstein-1 distance of two sets, averaged over directions."""
    angle = torch.arange(8) * torch.pi / 8
    ways = torch.stack([angle.cos(), angle.sin()])
    return float(((x @ ways).sort(0).values - (y @ ways).sort(0).values).abs().mean())


rng = torch.manual_seed(0)
path = core.BridgePath(noise=core.BrownianNoise(SCALE), source=core.DataSource())
coupling = core.EntropicOT(2 * SCALE**2)
plans = [coupling(moons(500, rng), gaussians(500, rng), rng).pair for _ in range(12)]
pairs = core.Pair(torch.cat([p.x_0 for p in plans]), torch.cat([p.x_1 for p in plans]))
for kind in (core.Flow, core.Diffusion):
    check_solution(path, kind, pairs[:2].to(torch.float64))

head = core.JointHead((core.FlowHead(), core.ScoreHead()), (1.0, 1.0))
layers = nn.Linear(5, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 4)
model = core.GeneratorModel(Network(*layers), path, head, coupling)
objective, optimizer = core.Objective(), torch.optim.AdamW(model.parameters(), lr=5e-3)
rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
for _ in range(STEPS):
    z = pairs[torch.randint(len(pairs), (256,), generator=rng)]
    t = 0.005 + 0.99 * torch.rand(256, generator=rng)
    optimizer.zero_grad()
    objective(model, path, z, t, path.sample(z, t, rng)).mean().backward()
    optimizer.step()
    rates.step()

found = verify(model, Reference(pairs), plan=Plan(samples=20_000))
print(f"relative error {found.relative():.3f}, samples resolve {found.noise():.3f}")
assert found.relative() < 0.08, "the process should follow the path"
flow, x_0 = core.Reweighted(model, (1.0, 0.0)), moons(2000, rng)
for end in (0.5, 1.0):
    truth = path.sample(pairs[:2000], end, rng)
    grid = core.uniform_grid(int(100 * end), end=end)
    sde = core.simulate(model, x_0, grid, core.Euler(), rng).state
    ode = core.simulate(flow, x_0, grid, core.RungeKutta()).state
    far = [sliced(x, truth) for x in (sde, ode, path.sample(pairs[-2000:], end, rng))]
    print(f"t = {end}: SDE {far[0]:.3f}, ODE {far[1]:.3f}, two sets of data {far[2]:.3f} apart")
    assert max(far[:2]) < 0.2, "both processes have the marginals of the path"
