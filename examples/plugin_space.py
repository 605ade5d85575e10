"""Your own space and source, outside feller: positive numbers with multiplicative noise.

Feller's geodesic path and its flow work there at once. A diffusion has a term by Ito's rule, and
one that forgets it is caught.
"""

import torch

from feller.core import random
from feller.core.generators import Diffusion, Flow
from feller.core.paths import GeodesicPath
from feller.core.sources import Gaussian, Source
from feller.core.spaces import Manifold
from feller.core.testing import check_path, check_solution, check_source, check_space


class Positive(Manifold):
    """Positive numbers; the geodesics are those of their logarithms."""

    event_dim = 1

    def check(self, x):
        if not (x.is_floating_point() and bool((x > 0).all())):
            raise ValueError("numbers are positive and floating point")

    def exp(self, x, v):
        return x * (v / x).exp()

    def log(self, x, y):
        return x * (y / x).log()

    def project(self, x):
        return x.clamp_min(1e-30)

    def project_tangent(self, x, v):
        return v


class LogNormal(Source):
    """The exponential of a standard normal."""

    def sample(self, shape, rng, *, like=None):
        return random.normal(shape, rng, like=like).exp()

    def log_density(self, x):
        y = x.clamp_min(1e-30).log()
        return Gaussian().log_density(y) - y


def diffusion(path, x, t, z, ito=0.5):
    """Noise of variance 1 - t in log x: its score there, and by Ito's rule half the variance."""
    velocity = x * (z / x).log() / (1 - t)
    score = -(x.log() - t * z.log()) / (1 - t) ** 2
    return Diffusion(velocity + x * (1 - t) * (score / 2 + ito), x**2 * (1 - t))


def forgetful(path, x, t, z):
    """Return the diffusion without the term by Ito's rule."""
    return diffusion(path, x, t, z, ito=0.0)


path = GeodesicPath(Positive(), LogNormal())
check_space(path.space, 0.5 + torch.arange(12, dtype=torch.float64).reshape(6, 2))
check_source(path.source, path.space, (3,))
check_path(path, torch.tensor([[0.5, 2.0], [1.0, 3.0]]))
check_solution(path, Flow, torch.tensor([[0.5, 2.0]], dtype=torch.float64))
check_solution(path, diffusion, torch.tensor([[0.5]], dtype=torch.float64))
try:
    check_solution(path, forgetful, torch.tensor([[0.5]], dtype=torch.float64))
except AssertionError as complaint:
    print(f"caught: {complaint}")
else:
    raise SystemExit("a diffusion without the term by Ito's rule should not pass")
