"""Sensitivity: which process forgives which mistake.

ODE, reverse SDE and their 50/50 superposition have one marginal path if velocity and score are
exact. Here both are exact but for a wave of known size, added to one of them. The ODE does not see
the score, and keeps every mistake of the velocity; the SDE pulls towards the distribution whose
score it is given, which mends the velocity's mistakes and believes the score's, at the price of
more steps.
"""

from dataclasses import dataclass
from typing import ClassVar

import matplotlib.pyplot as plt
import torch

from feller.core.algebra import weigh
from feller.core.generators import Diffusion, Flow
from feller.core.grids import uniform_grid
from feller.core.models import Model
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.solvers import Euler, simulate

SEED, END = 0, 0.95
torch.set_num_threads(1)
rng = torch.Generator().manual_seed(SEED)
points, weights = torch.tensor([[-2.0], [2.0]]), torch.tensor([0.3, 0.7])
oracle = FiniteData(GaussianPath(), Flow, points, weights)


@dataclass(frozen=True)
class Perturbed(Model):
    """The exact process with noise g^2 = noise (1 - t), its velocity or its score off by a wave."""

    noise: float
    velocity_off: float = 0.0
    score_off: float = 0.0
    space: ClassVar = oracle.space
    kinds: ClassVar = frozenset({Diffusion})
    path: ClassVar = None

    def __call__(self, x, t, condition=None):
        velocity, wave = oracle(x, t).velocity, torch.sin(2 * x + 1)
        score = (t * velocity - x) / (1 - t) + self.score_off * wave
        variance = torch.full_like(x, self.noise * (1 - t))
        return Diffusion(velocity + self.velocity_off * wave + variance / 2 * score, variance)


x, x_0 = torch.linspace(-8, 8, 4001), torch.special.ndtri((torch.arange(20_000) + 0.5) / 20_000)
exact = torch.special.ndtr((x[:, None] - END * points[:, 0]) / (1 - END)) @ weights
x_0 = x_0[:, None]  # equidistant quantiles of the source
steps = [8, 16, 32, 64, 128, 256]
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained", sharey=True)
cases = {"nothing": (0, 0), "velocity": (1, 0), "score": (0, 1)}
errors = {}
for panel, (wrong, offs) in zip(axes, cases.items(), strict=True):
    ode, sde = Perturbed(0.0, *offs), Perturbed(8.0, *offs)
    half = weigh(0.5, ode) + weigh(0.5, sde)
    for name, model in {"ODE": ode, "50/50": half, "SDE": sde}.items():
        distances = []
        for n in steps:  # Wasserstein-1: the area between two distribution functions
            end = simulate(model, x_0, uniform_grid(n, end=END), Euler(), rng).state
            reached = torch.searchsorted(end.flatten().sort().values, x) / len(x_0)
            distances.append(float((reached - exact).abs().mean()) * 16)
        errors[wrong, name] = distances[-1]
        panel.loglog(steps, distances, "o-", label=name)
        print(f"{wrong:8} wrong, {name:5}", *(f"{distance:.3f}" for distance in distances))
    panel.set_xscale("log", base=2)
    panel.set(title=f"{wrong} wrong", xlabel="steps")
axes[0].set_ylabel("distance of the distribution")
axes[0].legend()
figure.savefig("sensitivity.png", dpi=120)

assert max(errors["nothing", name] for name in ("ODE", "50/50", "SDE")) < 0.06
assert errors["velocity", "SDE"] < 0.8 * errors["velocity", "ODE"], "noise mends the velocity"
assert errors["score", "ODE"] < 0.03, "the ODE does not see the score"
assert errors["score", "ODE"] < errors["score", "50/50"] < errors["score", "SDE"]
