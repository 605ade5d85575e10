"""Your own kind of generator, outside feller: it adds, trains, is simulated and verified.

A wind carries x along, as a flow does; it stands for whatever yours is. With five methods and one
entry in the table of solutions it adds and multiplies with feller's kinds, trains under
`Objective`, is simulated by solvers of flows, passes `verify` and has a likelihood.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from feller import core
from feller.core.testing import check_solution
from feller.core.times import expand_time
from feller.core.verify import Reference, verify


@dataclass(frozen=True)
class Wind(core.LinearGenerator):
    """Motion with the wind."""

    speed: Tensor
    acts_as = (core.Flow,)  # whose solvers and likelihood serve it, by `split`

    def values(self):
        return self.speed

    def with_values(self, values):
        return Wind(values)

    def apply(self, f, x):
        return torch.func.jvp(f, (x,), (self.speed,))[1]

    def step(self, space, x, h, rng):
        return x + h * self.speed

    def split(self):
        return core.Split(drift=self.speed)


@core.solves(core.GaussianPath, Wind)
def wind(path, x, t, z):
    """Return the wind that arrives at z, straight, at t = 1."""
    return Wind((z - x) / (1 - expand_time(t, x)))


path, points = core.GaussianPath(), torch.tensor([[-2.0], [2.0]], dtype=torch.float64)
check_solution(path, Wind, points)
mine, flow = core.FiniteData(path, Wind, points), core.FiniteData(path, core.Flow, points)
half, rng = 0.5 * mine + 0.5 * flow, torch.Generator().manual_seed(0)
x, times = torch.randn(1000, 1, generator=rng).double(), core.logarithmic_grid(100)
losses = [float(core.Objective()(model, path, x, 0.5, x).mean()) for model in (mine, flow)]
print("loss beside the flow's:", *losses)
ends = core.simulate(half, x, times, core.Mixed(), rng).state
print("farthest sample from a point:", far := float((ends.abs() - 2).abs().max()))
ways = [core.log_likelihood(m, ends[:8], times=[0, 0.9]).nats for m in (half, flow)]
assert losses[0] == losses[1] and far < 0.05 and torch.allclose(ways[0], ways[1], atol=1e-6)
assert verify(half, Reference(points)).passed
assert not verify(1.01 * mine, Reference(points)).passed
