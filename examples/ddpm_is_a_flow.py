"""DDPM is a flow: three losses, one distribution.

At (x, t) noise, score and velocity are affine in each other, so a network that predicts any of them
is a flow: the probability-flow ODE of the diffusion. Here each is trained with its own loss on two
points, 0.3 at -2 and 0.7 at +2, on DDPM's variance-preserving schedule. With noise of DDPM's rate
added, the noise network is DDPM's reverse SDE. All four have to follow the exact marginals.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from feller.core.grids import uniform_grid
from feller.core.heads import FlowHead
from feller.core.losses import Objective
from feller.core.models import GeneratorModel
from feller.core.noise import Noised
from feller.core.paths import GaussianPath
from feller.core.schedules import VariancePreserving
from feller.core.solvers import HEUN, Euler, Evaluation, RungeKutta, follow

SEED = 0
torch.set_num_threads(1)  # tensors are small: a second thread would wait for the first
rng = torch.Generator().manual_seed(SEED)
schedule = VariancePreserving()
path, times = GaussianPath(schedule=schedule), uniform_grid(100, end=0.95)
points, weights = torch.tensor([-2.0, 2.0]), torch.tensor([0.3, 0.7])


def trained(prediction, steps=2000):
    """Train a network to predict noise, score or velocity, with the loss that goes with it."""
    torch.manual_seed(SEED)
    hidden = [nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU()]
    network = nn.Sequential(*hidden, nn.Linear(64, 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def output(x, t, _):
        return network(torch.cat([x, t[:, None], schedule.sigma(t[:, None]).log()], dim=1))

    model = GeneratorModel(output, path, FlowHead(prediction))
    # A score is infinite at the data: its loss has the customary weight, sigma^2.
    objective = Objective(loss_space="noise" if prediction == "score" else prediction)
    for _ in range(steps):
        z = points[torch.multinomial(weights, 2048, replacement=True, generator=rng)][:, None]
        t = 0.95 * torch.rand(2048, generator=rng)
        optimizer.zero_grad()
        objective(model, path, z, t, path.sample(z, t, rng)).mean().backward()
        optimizer.step()
        scheduler.step()
    return model


def distribution(t):
    """Return the exact probability to be below each x at time t."""
    u = (x[:, None] - schedule.alpha(t) * points) / schedule.sigma(t)
    return torch.special.ndtr(u) @ weights


noise = trained("noise")
runs = {
    "noise": (noise, RungeKutta(HEUN)),
    "score": (trained("score"), RungeKutta(HEUN)),
    "velocity": (trained("velocity"), RungeKutta(HEUN)),
    "DDPM's SDE": (Noised(noise, lambda t: (0.1 + 19.9 * (1 - t)).sqrt()), Euler()),
}
x, x_0 = torch.linspace(-5, 5, 2001), path.sample_source((20_000, 1), rng)
figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained", sharey=True)
for panel, t in zip(axes, times[[20, 50, 80, 100]], strict=True):
    panel.fill_between(x[1:], distribution(t).diff() / x.diff(), color="0.85", label="exact")
    panel.set(title=f"t = {float(t):.2f}", xlabel="x", xlim=(-4, 4), ylim=(0, 1))
farthest = {}
for name, (model, solver) in runs.items():
    states = [x_0, *follow(Evaluation(model), x_0, times, solver, rng)]
    distances = []
    for i in range(10, 101, 10):  # Wasserstein-1: the area between two distribution functions
        reached = torch.searchsorted(states[i][:, 0].sort().values, x) / len(x_0)
        distances.append(float((reached - distribution(times[i])).abs().mean()) * 10)
    farthest[name] = max(distances)
    print(
        f"{name:11} {farthest[name]:.3f} from the exact marginals, {distances[-1]:.3f} at the end"
    )
    for panel, i in zip(axes, (20, 50, 80, 100), strict=True):
        panel.hist(states[i].flatten(), x[400:1601:12], density=True, histtype="step", label=name)
axes[0].legend()
figure.savefig("ddpm_is_a_flow.png", dpi=120)

assert max(farthest.values()) < 0.2, "each of the four follows the marginals of the one path"
