"""Your own path, outside feller: x_t = t z + (1 - t) x_0 with Laplace noise x_0.

It and its flow pass the checks of `feller.core.testing`; a flow one percent too fast is caught.
Registered with `solves`, the flow is what training, exact posteriors and solvers look up.
"""

import math

import torch

from feller.core.generators import Flow
from feller.core.paths import ConditionalPath
from feller.core.posteriors import FiniteData
from feller.core.random import uniform
from feller.core.schedules import CondOT
from feller.core.solutions import solves
from feller.core.solvers import HEUN, RungeKutta
from feller.core.sources import Source
from feller.core.spaces import Euclidean
from feller.core.testing import check_path, check_solution, check_solver, check_source
from feller.core.times import expand_time


class Laplace(Source):
    """Two exponentials, back to back."""

    def sample(self, shape, rng, *, like=None):
        u = uniform(shape, rng, like=like) - 0.5
        return -u.sign() * torch.log1p(-2 * u.abs())

    def log_density(self, x):
        return -x.abs() - math.log(2)


class LaplacePath(ConditionalPath):
    """Laplace noise that shrinks to the data."""

    space, source, schedule = Euclidean(), Laplace(), CondOT()

    def sample(self, z, t, rng=None, *, x_0=None):
        x_0 = self.sample_source(z.shape, rng, like=z) if x_0 is None else x_0
        t = expand_time(t, z)
        return t * z + (1 - t) * x_0

    def log_density(self, x, t, z):
        t = expand_time(t, x)
        return (self.source.log_density((x - t * z) / (1 - t)) - (1 - t).log()).sum(-1)


@solves(LaplacePath, Flow)
def laplace_flow(path, x, t, z):
    """Return the velocity of straight lines to z, whatever the noise."""
    return Flow((z - x) / (1 - expand_time(t, x)))


def fast(path, x, t, z):
    """Return a flow that is one percent too fast."""
    return Flow(1.01 * laplace_flow(path, x, t, z).velocity)


path, points = LaplacePath(), torch.tensor([[-2.0], [2.0]])
check_source(path.source, path.space, (3,))
check_path(path, torch.tensor([[0.5, 2.0], [1.0, 3.0]]))
check_solution(path, Flow, points.double())
oracle = FiniteData(path, Flow, points, torch.tensor([0.3, 0.7]))
check_solver(RungeKutta(HEUN), model=oracle, steps=100)
try:
    check_solution(path, fast, points.double())
except AssertionError as complaint:
    print(f"caught: {complaint}")
else:
    raise SystemExit("a flow that is too fast should not pass")
