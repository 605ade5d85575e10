"""Three data points in the plane, under every schedule: the exact generators are known."""

import pytest
import torch

from feller.core.paths import GaussianPath
from feller.core.schedules import Cosine, Polynomial

PATHS = [GaussianPath(), GaussianPath(schedule=Cosine()), GaussianPath(schedule=Polynomial(2.0))]
POINTS = torch.tensor([[-1.0, 1.0], [1.0, -1.0], [0.0, 1.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
T = torch.tensor([0.1, 0.4, 0.6, 0.9], dtype=torch.float64)
every_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path.schedule).__name__)


def states(path, rng):
    z = POINTS[torch.randint(3, (4,), generator=rng)]
    return path.sample(z, T, rng)
