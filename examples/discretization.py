"""Discretization: what a step costs the distribution, with every generator exact.

Two points, 0.3 at -2 and 0.7 at +2, have exact flows and jumps, so what is left is the error of the
step. Euler's is of first order and Heun's of second; a jump's Euler step, whose events have the
probability of what stays to survive, is of first order and on the way to it better; mixed takes
Heun's step for the flow and both ends' intensities for the jump.
"""

import matplotlib.pyplot as plt
import torch

from feller.core.generators import Flow, Jump
from feller.core.grids import uniform_grid
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.solvers import HEUN, Euler, Mixed, RungeKutta, simulate

SEED, END = 0, 0.9
torch.set_num_threads(1)
rng = torch.Generator().manual_seed(SEED)
path, points, weights = GaussianPath(), torch.tensor([[-2.0], [2.0]]), torch.tensor([0.3, 0.7])
flow, jump = (FiniteData(path, kind, points, weights) for kind in (Flow, Jump))
half = 0.5 * flow + 0.5 * jump
runs = {
    "flow, Euler": (flow, Euler()),
    "flow, Heun": (flow, RungeKutta(HEUN)),
    "jump, Euler": (jump, Euler()),
    "half, Euler": (half, Euler()),
    "half, mixed": (half, Mixed()),
}
# Equidistant quantiles of the source: a flow then shows its own error and no sampling error.
x_0 = torch.special.ndtri((torch.arange(200_000) + 0.5) / 200_000)[:, None]
x = torch.linspace(-8, 8, 4001)
exact = torch.special.ndtr((x[:, None] - END * points[:, 0]) / (1 - END)) @ weights
steps = torch.tensor([4, 8, 16, 32])
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
error, order = {}, {}
for name, (model, solver) in runs.items():
    distances, evaluations = [], []
    for n in steps.tolist():  # Wasserstein-1: the area between two distribution functions
        simulation = simulate(model, x_0, uniform_grid(n, end=END), solver, rng)
        reached = torch.searchsorted(simulation.state.flatten().sort().values, x) / len(x_0)
        distances.append((reached - exact).abs().mean() * 16)
        evaluations.append(simulation.nfe // len(model.kinds))
    error[name] = torch.stack(distances)
    rise = torch.stack([steps.log(), torch.ones(4)], dim=1)
    order[name] = -float(torch.linalg.lstsq(rise, error[name].log()[:, None]).solution[0])
    left.loglog(steps, error[name], "o-", label=f"{name}: order {order[name]:.2f}")
    right.loglog(evaluations, error[name], "o-")
    print(f"{name}: order {order[name]:.2f}, errors", *(f"{e:.4f}" for e in distances))
left.set_xscale("log", base=2)
right.set_xscale("log", base=2)
left.set(xlabel="steps", ylabel="distance of the distribution")
right.set(xlabel="evaluations of the model")
left.legend()
figure.savefig("discretization.png", dpi=120)

assert 0.8 < order["flow, Euler"] < 1.3, "Euler's method is of first order"
assert 1.7 < order["flow, Heun"] < 2.5, "Heun's method is of second order"
assert 0.7 < order["jump, Euler"] < 2.0, "jumps by survival are of first order at least"
assert bool((error["half, mixed"] < 0.75 * error["half, Euler"]).all()), "mixed is better"
