"""State-dependent noise: any g_t(x) has the same marginals, if its gradient is in the drift.

A flow whose score is known takes noise of any strength g_t(x): fixed, by the curvature of log p
(much where the posterior is undecided, little in the modes), or learned by looking at what eight
steps make of the distribution. The marginals are those of the flow; the error of a step is not.
Without the term grad(g^2) / 2 in the drift the distribution is bent, however many steps are taken.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import matplotlib.pyplot as plt
import torch
from torch import nn

from feller.core.generators import Diffusion, Flow
from feller.core.grids import uniform_grid
from feller.core.models import Model
from feller.core.noise import Noised
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.solvers import Euler, simulate

SEED, END = 0, 0.9
torch.set_num_threads(1)  # tensors are small: a second thread would wait for the first
torch.manual_seed(SEED)
rng = torch.Generator().manual_seed(SEED)
points, weights = torch.tensor([[-2.0], [2.0]]), torch.tensor([0.3, 0.7])
flow = FiniteData(GaussianPath(), Flow, points, weights)
network = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1), nn.Softplus())
x = torch.linspace(-8, 8, 4001)
exact = torch.special.ndtr((x[:, None] - END * points[:, 0]) / (1 - END)) @ weights


def fixed(t, x):
    """Return the customary g, whatever x."""
    return (2 * (1 - t)).sqrt() * torch.ones_like(x)


def curved(t, x):
    """Return g by 1 + sigma^2 (log p)'', which is t^2 / sigma^2 times the posterior variance."""
    p = flow.posterior(x, t)
    return (8 * (1 - t) * (0.05 + 0.95 * 4 * p[:, :1] * p[:, 1:])).sqrt()


def learned(t, x):
    """Return the network's g."""
    p = flow.posterior(x, t)
    seen = torch.cat([4 * p[:, :1] * p[:, 1:], t * torch.ones_like(x)], dim=1)
    return (8 * (1 - t)).sqrt() * network(seen)


def learn(iterations=200, n=4000):
    """Fit the distribution after eight steps to the data, by the gradient through all steps."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    levels = (torch.arange(n) + 0.5) / n
    quantiles = x[torch.searchsorted(exact, levels)]
    model, times = Noised(flow, learned), uniform_grid(8, end=END).tolist()
    for _ in range(iterations):
        state = torch.special.ndtri(levels)[:, None]
        for t, s in pairwise(times):
            state = model(state, t).step(model.space, state, s - t, rng)
        optimizer.zero_grad()
        (state.flatten().sort().values - quantiles).abs().mean().backward()
        optimizer.step()


@dataclass(frozen=True)
class Bent(Model):
    """The curved noise without the gradient of its square: what not to do."""

    space: ClassVar = flow.space
    kinds: ClassVar = frozenset({Diffusion})
    path: ClassVar = None

    def __call__(self, x, t, condition=None):
        velocity, variance = flow(x, t).velocity, curved(torch.tensor(t), x) ** 2
        score = (t * velocity - x) / (1 - t)
        return Diffusion(velocity + variance / 2 * score, variance)


learn()
runs = {"no noise": flow, "no gradient": Bent()}
runs |= {g.__name__: Noised(flow, g) for g in (fixed, curved, learned)}
x_0 = torch.special.ndtri((torch.arange(40_000) + 0.5) / 40_000)[:, None]
steps, error = [4, 8, 16, 32, 64], {}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for i, (name, model) in enumerate(runs.items()):
    error[name] = []
    for n in steps:  # Wasserstein-1: the area between two distribution functions
        state = simulate(model, x_0, uniform_grid(n, end=END), Euler(), rng).state.flatten()
        reached = torch.searchsorted(state.sort().values, x) / len(x_0)
        error[name].append(float((reached - exact).abs().mean()) * 16)
    left.loglog(steps, error[name], "o-", color=f"C{i}", label=name)
    print(f"{name:11} {steps[0]} to {steps[-1]} steps:", *(f"{e:.4f}" for e in error[name]))
for i, g in enumerate((fixed, curved, learned)):
    for t, style in ((0.4, "-"), (0.7, "--")):
        size = g(torch.tensor(t), x[:, None]).detach().flatten()
        right.plot(x, size, style, color=f"C{i + 2}", label=f"{g.__name__}, t = {t}")
left.set_xscale("log", base=2)
left.set(xlabel="steps", ylabel="distance of the distribution")
right.set(title="g", xlabel="x", xlim=(-3, 3))
left.legend()
right.legend()
figure.savefig("state_dependent_noise.png", dpi=120)

for name in ("fixed", "curved", "learned"):
    assert error[name][-1] < 0.05, f"{name} noise has the marginals of the flow"
assert error["curved"][1] < 0.75 * error["fixed"][1], "noise where it is needed costs fewer steps"
assert error["learned"][1] < error["fixed"][1], "learned noise costs fewer steps"
assert error["no gradient"][-1] > 0.12, "without grad(g^2) the distribution is bent"
