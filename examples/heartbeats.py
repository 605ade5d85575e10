"""Heartbeats: one-dimensional signals as flow and jump, from one small network.

A synthetic electrocardiogram lead, 64 values of one beat: P, QRS and T waves whose positions,
heights and widths vary, with the T wave inverted in a third of the beats. One convolutional network
is the flow and the jump of every value; half of each draws beats. Statistics that were not trained
for, the heights of R peaks and T waves and the power spectrum, are held against beats never seen.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from feller.core.grids import logarithmic_grid
from feller.core.heads import FlowHead, JointHead, JumpHead
from feller.core.losses import Objective
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.solvers import Mixed, simulate

SEED, LENGTH, STEPS = 0, 64, 1000
torch.set_num_threads(1)  # a second thread helps little and waits where cores are shared
torch.manual_seed(SEED)
rng = torch.Generator().manual_seed(SEED)
path, objective = GaussianPath(), Objective()
head = JointHead((FlowHead(), JumpHead(bins=64)), weights=(0.5, 0.5))


def beats(n):
    """Draw beats `(n, 64)` in [-1, 1]."""
    time, u = torch.arange(LENGTH)[None], torch.randn(n, 5, 3, generator=rng)
    jitter = torch.tensor([1.0, 0.2, 0.2, 0.2, 1.5])
    inverted = 1 - 2 * (torch.rand(n, 1, generator=rng) < 1 / 3).float()
    position = torch.tensor([14.0, 24.0, 28.0, 32.0, 47.0]) + u[..., 0] * jitter + u[:, :1, 2]
    height = torch.tensor([0.12, -0.12, 0.75, -0.2, 0.22]) * (1 + 0.1 * u[..., 1])
    height[:, 4:] *= inverted
    width = torch.tensor([3.0, 1.5, 1.8, 1.5, 4.0])
    waves = height[..., None] * torch.exp(
        -(((time - position[..., None]) / width[:, None]) ** 2) / 2
    )
    return (waves.sum(1) + 0.04 * torch.randn(n, LENGTH, generator=rng)).clamp(-1, 1)


class Network(nn.Module):
    """Numbers for each value of a signal, from the whole of it and the time."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.enter = nn.Conv1d(3, width, 5, padding=2)
        self.blocks = nn.ModuleList(
            nn.Conv1d(width, width, 5, padding=2 * d, dilation=d) for d in (1, 2, 4, 8, 2, 1)
        )
        self.clocks = nn.ModuleList(nn.Linear(16, width) for _ in self.blocks)
        self.leave = nn.Conv1d(width, head.channels, 1)

    def forward(self, x, t, condition=None):
        position = torch.linspace(-1, 1, LENGTH).expand_as(x)
        clock = torch.cos(t[:, None] * torch.arange(16) * torch.pi)
        h = self.enter(torch.stack([x, position, t[:, None].expand_as(x)], dim=1))
        for block, time in zip(self.blocks, self.clocks, strict=True):
            h = h + block(nn.functional.silu(h + time(clock)[..., None]))
        return self.leave(nn.functional.silu(h)).movedim(1, 2)


model = GeneratorModel(Network(), path, head)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, STEPS)
for _ in range(STEPS):
    z, t = beats(64), 0.99 * torch.rand(64, generator=rng)
    optimizer.zero_grad()
    objective(model, path, z, t, path.sample(z, t, rng)).mean().backward()
    optimizer.step()
    scheduler.step()


def statistics(signals):
    """Return the height of each R peak, that of each T wave, and the mean power spectrum."""
    power = torch.fft.rfft(signals).abs().square().mean(0)
    return signals.max(1).values, signals[:, 43:52].mean(1), power


x_0 = torch.randn(500, LENGTH, generator=rng)
drawn = simulate(model, x_0, logarithmic_grid(25, end=0.99), Mixed(), rng).state
held = beats(2000)
levels, gaps = torch.linspace(0.01, 0.99, 99), []
figure, panels = plt.subplot_mosaic("AAABBB\nCCDDEE", figsize=(11, 5.5), layout="constrained")
for key, title, signals in (("A", "held out", held), ("B", "drawn", drawn)):
    panels[key].plot(signals[:12].T, lw=0.8)
    panels[key].set(title=title, ylim=(-0.5, 1.1))
names = ("height of R", "height of T", "power spectrum")
pairs = zip("CDE", names, statistics(drawn), statistics(held), strict=True)
for key, name, ours, real in pairs:
    panels[key].set_title(name)
    if key == "E":
        gaps.append(float((ours / real).log().abs().mean()))
        panels[key].semilogy(real, color="0.7", lw=4, label="held out")
        panels[key].semilogy(ours, label="drawn")
        panels[key].legend()
    else:  # Wasserstein-1, by quantiles
        gaps.append(float((ours.quantile(levels) - real.quantile(levels)).abs().mean()))
        bins = torch.linspace(float(real.min()), float(real.max()), 40)
        panels[key].hist(real, bins, density=True, color="0.8")
        panels[key].hist(ours, bins, density=True, histtype="step")
    print(f"{name}: off by {gaps[-1]:.3f}" + ("" if key == "E" else f", spread {real.std():.3f}"))
figure.savefig("heartbeats.png", dpi=120)

assert gaps[0] < 0.05, "the distribution of R peaks is that of beats never seen"
assert gaps[1] < 0.045, "and that of T waves, upright or inverted"
assert gaps[2] < 0.4, "and the power at each frequency, as a mean log ratio"
