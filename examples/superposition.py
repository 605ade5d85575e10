"""Superposition: flow, jump, half of each and mixed, from two networks and from one.

Flow and jump have one marginal path, and so has half of each. Networks are trained for the flow
alone, for the jump alone, and one for both at once, a question the paper leaves open (arXiv
2410.20587). Data are three normals in [-1, 1], so that the marginal distribution is known at each
time.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from feller.core.grids import logarithmic_grid
from feller.core.heads import FlowHead, JointHead, JumpHead
from feller.core.losses import Objective
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.reweighted import Reweighted
from feller.core.solvers import Euler, Mixed, simulate

SEED, END = 0, 0.95
torch.set_num_threads(1)  # tensors are small: a second thread would wait for the first
rng = torch.Generator().manual_seed(SEED)
path, objective = GaussianPath(), Objective()
means, std, weights = torch.tensor([-0.7, 0.1, 0.6]), 0.1, torch.tensor([0.5, 0.2, 0.3])


def trained(head, steps=2000):
    """Train one network for all that a head reads."""
    torch.manual_seed(SEED)
    hidden = [nn.Linear(3, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU()]
    shape = (1,) if head.channels == 1 else (1, head.channels)
    network = nn.Sequential(*hidden, nn.Linear(96, head.channels), nn.Unflatten(1, shape))
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def output(x, t, _):
        return network(torch.cat([x, t[:, None], x / (1.1 - t[:, None])], dim=1))

    model = GeneratorModel(output, path, head)
    for _ in range(steps):
        z = means[torch.multinomial(weights, 1024, replacement=True, generator=rng)][:, None]
        z, t = z + std * torch.randn(1024, 1, generator=rng), END * torch.rand(1024, generator=rng)
        optimizer.zero_grad()
        objective(model, path, z, t, path.sample(z, t, rng)).mean().backward()
        optimizer.step()
        scheduler.step()
    return model


heads = FlowHead(), JumpHead(bins=48)
flow, jump = (trained(head) for head in heads)
joint = trained(JointHead(heads, weights=(0.5, 0.5)))
runs = {  # from two networks, from one, and how they step
    "flow, Euler": (flow, Reweighted(joint, (1.0, 0.0)), Euler()),
    "flow, Heun": (flow, Reweighted(joint, (1.0, 0.0)), Mixed()),
    "jump, Euler": (jump, Reweighted(joint, (0.0, 1.0)), Euler()),
    "half, Euler": (0.5 * flow + 0.5 * jump, joint, Euler()),
    "half, mixed": (0.5 * flow + 0.5 * jump, joint, Mixed()),
}
x, x_0 = torch.linspace(-2.5, 2.5, 2001), torch.randn(20_000, 1, generator=rng)
spread = ((END * std) ** 2 + (1 - END) ** 2) ** 0.5
exact = torch.special.ndtr((x[:, None] - END * means) / spread) @ weights
steps, error = [4, 8, 16], {}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for i, (name, (*models, solver)) in enumerate(runs.items()):
    for how, style, model in zip(
        ("two networks", "one network"), ("o-", "x--"), models, strict=True
    ):
        distances = []
        for n in steps:  # Wasserstein-1: the area between two distribution functions
            end = simulate(model, x_0, logarithmic_grid(n, end=END), solver, rng).state.flatten()
            reached = torch.searchsorted(end.sort().values, x) / len(x_0)
            distances.append(float((reached - exact).abs().mean()) * 5)
        error[name, how] = distances
        print(f"{name}, {how:12}", *(f"{distance:.4f}" for distance in distances))
        left.loglog(steps, distances, style, color=f"C{i}", label=name if how[0] == "t" else None)
right.fill_between(x[1:], exact.diff() / x.diff(), color="0.85", label="exact")
right.hist(end, x[::12], density=True, histtype="step", label=f"{name}, {how}, {n} steps")
left.set_xscale("log", base=2)
left.set(xlabel="steps", title="distance of the distribution (crosses: one network)")
left.legend()
right.set(xlim=(-1.3, 1.3), ylim=(0, 2.6), title="half of each")
right.legend()
figure.savefig("superposition.png", dpi=120)

for name, how in error:
    assert error[name, how][-1] < 0.08, f"{name} from {how}: all have the distribution of the data"
    bound = 1.5 * error[name, "two networks"][-1] + 0.02
    assert error[name, "one network"][-1] < bound, f"{name}: sharing a network costs little"
    worst = error["flow, Euler", how][0]
    assert error["half, mixed", how][0] < 0.6 * worst, "a mixed step does more than a flow's"
