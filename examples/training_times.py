"""Training times move a network's error along the path, not the distribution it learns.

A distribution of training times weighs the loss by t alone, so every distribution has the same
minimiser. With finite training each leaves errors where it seldom looks. Six distributions get the
same network, steps and data: eight normals of unequal weights on a ring, of which the exact
velocity is known.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from feller.core.grids import uniform_grid
from feller.core.losses import Objective
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.posteriors import NormalMixture
from feller.core.solvers import HEUN, RungeKutta, simulate
from feller.core.times import Beta, LogitNormal, Skewed, Uniform, UShaped

SEED = 0
CHOICES = [Uniform(), LogitNormal(), Beta(2.0, 2.0), Beta(1.0, 2.0), Skewed(), UShaped()]
torch.set_num_threads(1)  # tensors are small: a second thread would wait for the first
rng = torch.Generator().manual_seed(SEED)
path, objective = GaussianPath(), Objective()
angles, weights = torch.arange(8) * torch.pi / 4, torch.arange(1.0, 9.0) / 36
means = 2 * torch.stack([angles.cos(), angles.sin()], dim=1)
oracle = NormalMixture(path, means, torch.full((8,), 0.1), weights)


def data(n):
    """Draw points of the ring."""
    centres = means[torch.multinomial(weights, n, replacement=True, generator=rng)]
    return centres + 0.1 * torch.randn(n, 2, generator=rng)


def trained(chosen, steps=1500):
    """Train a network with times from a distribution."""
    torch.manual_seed(SEED)
    hidden = [nn.Linear(3, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU()]
    network = nn.Sequential(*hidden, nn.Linear(96, 2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model = GeneratorModel(lambda x, t, _: network(torch.cat([x, t[:, None]], dim=1)), path)
    for _ in range(steps):
        z, t = data(1024), chosen.quantile(torch.rand(1024, generator=rng))
        optimizer.zero_grad()
        objective(model, path, z, t, path.sample(z, t, rng)).mean().backward()
        optimizer.step()
        scheduler.step()
    return model


x_0, times, lines = torch.randn(4000, 2, generator=rng), uniform_grid(40, end=0.99), means.T / 2
seen = [(t, path.sample(data(4000), t, rng)) for t in torch.linspace(0.025, 0.975, 20).tolist()]
exact = (simulate(oracle, x_0, times, RungeKutta(HEUN)).state @ lines).sort(0).values
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
early, late, distance = {}, {}, {}
for chosen in CHOICES:
    model, name = trained(chosen), str(chosen)
    off = torch.stack([model(x, t).velocity - oracle(x, t).velocity for t, x in seen]).detach()
    error = off.square().sum(-1).mean(1).sqrt()
    early[name], late[name] = float(error[:4].mean()), float(error[-4:].mean())
    samples = simulate(model, x_0, times, RungeKutta(HEUN)).state @ lines
    distance[name] = float((samples.sort(0).values - exact).abs().mean())
    print(f"{name:32} {early[name]:.3f} early, {late[name]:.3f} late, samples {distance[name]:.3f}")
    left.hist(chosen.quantile(torch.linspace(0, 1, 40_001)), 40, density=True, histtype="step")
    middle.plot([t for t, _ in seen], error)
left.set(title="density of training times", xlabel="t")
middle.set(title="error of the velocity", xlabel="t", ylim=0)
right.barh(list(distance), list(distance.values()), color=[f"C{i}" for i in range(6)])
right.set(title="sliced distance to the exact distribution", xlabel="data units")
figure.savefig("training_times.png", dpi=120)

first, last = str(Beta(1.0, 2.0)), str(Skewed())
assert early[first] < 0.6 * early[last], f"{first} draws early times, {last} does not"
assert late[last] < 0.8 * late[first], f"{last} draws late times, {first} does not"
assert max(distance.values()) < 0.2, (
    "every distribution of times leads to the distribution of the data"
)
