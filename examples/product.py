"""Product: a token and a point of the plane, generated together by one network.

Data are points of three curved clusters with the token of the cluster. The token starts masked and
jumps, the point starts as noise and flows. Given the data they move independently, but the
generator of each sees both (arXiv 2410.20587, proposition 4). Each has its own clock in
training, so the one model also draws points for a token that is known, whose clock stands at 1.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from feller.core.grids import uniform_grid
from feller.core.heads import FlowHead, PosteriorHead, ProductHead
from feller.core.losses import Objective
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.solvers import Euler, Mixed, simulate
from feller.core.sources import Masked
from feller.core.spaces import Tokens

SEED, MASK = 0, 3
torch.set_num_threads(1)  # tensors are small: a second thread would wait for the first
torch.manual_seed(SEED)
rng = torch.Generator().manual_seed(SEED)
path = ProductPath({"token": MixturePath(Tokens(4), Masked(MASK)), "point": GaussianPath()})
head = ProductHead({"token": PosteriorHead(levels=4), "point": FlowHead()})
weights = torch.tensor([0.2, 0.3, 0.5])


def data(n):
    """Draw tokens and, for each, a point of an arc that begins at the token's angle."""
    token = torch.multinomial(weights, n, replacement=True, generator=rng)
    angle = 2 * torch.pi * (token / 3 + 0.25 * torch.rand(n, generator=rng))
    radius = 1.5 + 0.1 * torch.randn(n, generator=rng)
    point = radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return {"token": token[:, None], "point": point}


class Network(nn.Module):
    """Logits of the token and the velocity of the point, from both and their times."""

    def __init__(self):
        super().__init__()
        hidden = [nn.Linear(8, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU()]
        self.layers = nn.Sequential(*hidden, nn.Linear(128, 6))

    def forward(self, x, t, condition=None):
        seen = [nn.functional.one_hot(x["token"][:, 0], 4), x["point"]]
        output = self.layers(torch.cat([*seen, t["token"][:, None], t["point"][:, None]], dim=1))
        return {"token": output[:, None, :4], "point": output[:, 4:]}


model, objective = GeneratorModel(Network(), path, head), Objective()
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2000)
for _ in range(2000):
    z = data(1024)
    t = {name: torch.rand(1024, generator=rng) for name in z}
    optimizer.zero_grad()
    objective(model, path, z, t, path.sample(z, t, rng)).mean().backward()
    optimizer.step()
    scheduler.step()


def distance(a, b):
    """Return the sliced Wasserstein-1 distance of two clouds of points."""
    turns, levels = torch.arange(12) * torch.pi / 12, torch.linspace(0.005, 0.995, 199)
    lines = torch.stack([turns.cos(), turns.sin()])
    a, b = (torch.quantile(cloud @ lines, levels, dim=0) for cloud in (a, b))
    return float((a - b).abs().mean())


held, times = data(4000), uniform_grid(50)
x_0 = path.sample_source({"token": (4000, 1), "point": (4000, 2)}, rng, like=held)
joint = simulate(model, x_0, times, Mixed(), rng).state
fraction = torch.bincount(joint["token"][:, 0], minlength=4) / 4000
figure, axes = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained", sharex=True, sharey=True)
apart, asked = [], []
for token in range(3):
    known = {"token": torch.full((4000, 1), token), "point": x_0["point"]}
    clocks = {"token": torch.ones(51), "point": times}
    given = simulate(model, known, clocks, Euler(), rng).state["point"]
    real, ours = (cloud["point"][cloud["token"][:, 0] == token] for cloud in (held, joint))
    apart.append(distance(ours, real))
    asked.append(distance(given, real))
    print(f"token {token}: fraction {fraction[token]:.3f} for {weights[token]:.1f}; points off by "
          f"{apart[-1]:.3f}, given the token by {asked[-1]:.3f}")  # fmt: skip
    for panel, points in zip(axes, (real, ours, given[:1500]), strict=True):
        panel.scatter(*points.T, s=2, alpha=0.4, color=f"C{token}")
for panel, title in zip(axes, ("data", "drawn jointly", "given the token"), strict=True):
    panel.set(title=title, aspect="equal")
figure.savefig("product.png", dpi=120)

assert fraction[MASK] == 0, "no token is masked at the end"
assert float((fraction[:3] - weights).abs().max()) < 0.05, "p(token)"
assert max(apart) < 0.1, "p(point | token) of what is drawn jointly"
assert max(asked) < 0.1, "p(point | token) where the token is known"
