"""Bregman divergences: each of them trains the same flow; a loss that is none trains another.

Generalized KL compares positive numbers, which velocities are not. So here a network predicts the
posterior of each coordinate of a point of the plane, and the velocity is affine in that. Targets
are certain: one value has probability 1. Every Bregman divergence is least at their mean, which is
the posterior; the absolute error at their median, which is certain too and favours the majority.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from feller.core.divergences import (
    REALS,
    BregmanDivergence,
    Cosh,
    GeneralizedKL,
    Logistic,
    SquaredNorm,
)
from feller.core.generators import Flow
from feller.core.grids import uniform_grid
from feller.core.heads import PosteriorHead
from feller.core.losses import Objective
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.solvers import HEUN, Evaluation, RungeKutta, follow


class AbsoluteError(BregmanDivergence):
    """|a - b|: not affine in the target, so in truth no Bregman divergence."""

    domain = REALS

    def potential(self, a):
        raise NotImplementedError("no potential has this divergence")

    def value(self, target, predicted):
        return (target - predicted).abs()


SEED = 0
torch.set_num_threads(1)  # tensors are small: a second thread would wait for the first
rng = torch.Generator().manual_seed(SEED)
path, head = GaussianPath(), PosteriorHead(levels=2, flow=1.0, jump=0.0)
points = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
weights = torch.tensor([0.1, 0.2, 0.25, 0.45])
oracle = FiniteData(path, Flow, points, weights)


def data(n):
    """Draw corners of a square."""
    return points[torch.multinomial(weights, n, replacement=True, generator=rng)]


def trained(divergence, steps=1500):
    """Train a network that predicts posteriors under a divergence."""
    torch.manual_seed(SEED)
    hidden = [nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU()]
    network = nn.Sequential(*hidden, nn.Linear(64, 4), nn.Unflatten(1, (2, 2)))
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model = GeneratorModel(lambda x, t, _: network(torch.cat([x, t[:, None]], 1)), path, head)
    objective = Objective(jump_divergence=divergence)
    for _ in range(steps):
        z, t = data(1024), torch.rand(1024, generator=rng)
        optimizer.zero_grad()
        objective(model, path, z, t, path.sample(z, t, rng)).mean().backward()
        optimizer.step()
        scheduler.step()
    return model


def fractions(trajectory):
    """Return the fraction of particles that end at each corner."""
    return torch.bincount(torch.cdist(trajectory[-1], points).argmin(1), minlength=4) / 4000


x_0, times = torch.randn(4000, 2, generator=rng), uniform_grid(40, end=0.99)
seen = [(t, path.sample(data(4000), t, rng)) for t in torch.linspace(0.05, 0.95, 19).tolist()]
exact = fractions([*follow(Evaluation(oracle), x_0, times, RungeKutta(HEUN))])
figure, axes = plt.subplots(2, 3, figsize=(10, 6.6), layout="constrained")
losses = [SquaredNorm(), GeneralizedKL(), Cosh(), Logistic(), AbsoluteError()]
off = {}
for panel, loss in zip(axes.flat, losses, strict=False):
    model, name = trained(loss), type(loss).__name__
    trajectory = [x_0, *follow(Evaluation(model), x_0, times, RungeKutta(HEUN))]
    off[name] = float((fractions(trajectory) - exact).abs().sum() / 2)
    with torch.no_grad():
        gaps = [(1 - t) * (model(x, t).split().drift - oracle(x, t).velocity) for t, x in seen]
    error = torch.stack(gaps).square().mean((1, 2)).sqrt()
    print(f"{name:14} posterior mean off by {error.mean():.3f}, distribution by {off[name]:.4f}")
    panel.plot(*torch.stack(trajectory)[:, :150].movedim(2, 0), color="C0", lw=0.5, alpha=0.5)
    panel.set(
        title=f"{name}: distribution off by {off[name]:.3f}", xlim=(-2.5, 2.5), ylim=(-2.5, 2.5)
    )
    axes[1, 2].plot([t for t, _ in seen], error, label=name)
axes[1, 2].set(title="error of the posterior mean", xlabel="t", yscale="log")
axes[1, 2].legend()
figure.savefig("bregman.png", dpi=120)

wrong = off.pop("AbsoluteError")
assert max(off.values()) < 0.03, "every Bregman divergence gives the distribution of the data"
assert wrong > 0.15, "the absolute error gives another distribution"
