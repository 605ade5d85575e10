"""The order of Euler's steps of chains, with no samples: laws of two tokens by exact matrices."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from feller.core.algebra import backward
from feller.core.generators import Jump, Superposition
from feller.core.paths import GeometricPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import Cosine
from feller.core.sources import UniformTokens
from feller.core.spaces import Tokens

DATA, SHARES = torch.tensor([[0, 0], [1, 2], [3, 3]]), torch.tensor([0.5, 0.2, 0.3])
PAIRS = torch.cartesian_prod(torch.arange(4), torch.arange(4))
PATHS = {
    "uniform": MixturePath(Tokens(4), UniformTokens(4), Cosine()),
    "geometric": GeometricPath(Tokens(4), 0.05),
}


def models(path):
    jump = FiniteData(path, Jump, DATA, SHARES)
    back = backward(FiniteData(path, Jump, DATA, SHARES, backward=True))
    return {"jump": 1.0 * jump, "forth and back": 1.5 * jump + 0.5 * back}


def law(path, t: float) -> Tensor:
    each = path.log_density(PAIRS[:, None], torch.tensor(t), DATA[None]).sum(-1).exp()
    return each.double() @ SHARES.double()


def transitions(generator: Superposition, h: float, speed: float) -> Tensor:
    """Return the chances of a step from each pair to each: parts in turn, tokens apart."""
    chances = torch.nn.functional.one_hot(PAIRS, 4).double()
    for part in generator.parts:
        jump = part.generator.scaled(speed * part.weight)
        fires = -torch.expm1(-jump.intensity * jump.duration(h)).double()[..., None]
        points, weights = jump.destination.expand(jump.intensity.shape).quadrature()
        weights = weights.double().reshape(points.shape)
        landed = torch.zeros_like(chances).scatter_add_(-1, points.long(), weights)
        chances = fires * landed + (1 - fires) * chances
    return torch.einsum("na,nb->nab", *chances.unbind(1)).flatten(1)


def distance(path, model, steps: int, speed: float = 1.0) -> float:
    """Return the total variation between the law after the steps and that of the path."""
    times = torch.linspace(0, 0.8, steps + 1).tolist()
    p = law(path, 0.0)
    for t, s in pairwise(times):
        p = p @ transitions(model(PAIRS, torch.full((len(PAIRS),), t)), s - t, speed)
    return float((p - law(path, times[-1])).abs().sum()) / 2


@pytest.mark.gate
@pytest.mark.parametrize("name", ["jump", "forth and back"])
@pytest.mark.parametrize("path", PATHS)
def test_the_error_halves_with_the_steps(path, name):
    model = models(PATHS[path])[name]
    coarse, fine = (distance(PATHS[path], model, steps) for steps in (50, 100))
    assert coarse / fine == pytest.approx(2, abs=0.1)
    assert fine < 0.01


@pytest.mark.gate
@pytest.mark.parametrize("path", PATHS)
def test_that_of_rates_two_percent_off_does_not(path):
    model = models(PATHS[path])["jump"]
    for speed in (0.98, 1.02):
        coarse, fine = (distance(PATHS[path], model, steps, speed) for steps in (50, 100))
        assert abs(coarse / fine - 2) > 0.15
