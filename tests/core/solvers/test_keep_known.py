"""Known elements stay, and the others suit them."""

import pytest
import torch
from torch.testing import assert_close

from feller.core import random
from feller.core.discrete.solvers import FirstHitting
from feller.core.generators import Flow, Jump
from feller.core.models import GeneratorModel
from feller.core.paths import BridgePath, BrownianNoise, GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import CondOT, VariancePreserving
from feller.core.solvers import Dopri5, Euler, KeepKnown, simulate
from feller.core.solvers.base import Evaluation
from feller.core.solvers.keep_known import _back
from feller.core.sources import Masked
from feller.core.spaces import Tokens

POINTS = torch.tensor([[-2.0, -1.0], [-2.0, 1.0], [2.0, 1.0]])
KNOWN = torch.tensor([True, False])
GRID = torch.linspace(0, 0.999, 41)


def drawn(rng, kind=Flow, repeats=1, schedule=None, n=2000):
    path = GaussianPath() if schedule is None else GaussianPath(schedule=schedule)
    model = FiniteData(path, kind, POINTS)
    solver = KeepKnown(Euler(), torch.tensor([[-2.0, 9.0]]), KNOWN, repeats)
    x_0 = torch.randn(n, 2, generator=rng)
    simulation = simulate(model, x_0, GRID, solver, rng)
    assert simulation.nfe == 40 * repeats
    return simulation.state


@pytest.mark.parametrize("kind", [Flow, Jump])
def test_what_is_known_stays_and_the_rest_suits_it(kind, rng):
    state = drawn(rng, kind)
    assert_close(state[:, 0], torch.full((2000,), -2.0), atol=0.01, rtol=0)
    ends = (state[:, 1].abs() - 1).abs() < 0.05
    assert ends.float().mean() > 0.97


@pytest.mark.parametrize("schedule", [None, VariancePreserving()])
def test_resampling_brings_the_posterior(schedule, rng):
    """Given -2, both values of the other are alike; without it the third point biases them."""
    once, often = (
        (drawn(rng, repeats=n, schedule=schedule, n=4000)[:, 1] > 0).float().mean() for n in (1, 6)
    )
    assert once > 0.53
    assert abs(often - 0.5) < (once - 0.5) / 1.7


def test_what_it_cannot_take_is_refused():
    z, model = POINTS[:1], FiniteData(GaussianPath(), Flow, POINTS)
    with pytest.raises(ValueError, match="repeats is at least 1"):
        KeepKnown(Euler(), z, KNOWN, 0)
    with pytest.raises(ValueError, match="need a grid of times"):
        KeepKnown(FirstHitting(), z, KNOWN)
    with pytest.raises(ValueError, match="grids that begin at 0"):
        simulate(model, torch.zeros(1, 2), [0.1, 0.5], KeepKnown(Euler(), z, KNOWN))
    found = simulate(model, torch.zeros(1, 2), [0.0, 0.5, 0.99], KeepKnown(Dopri5(), z, KNOWN))
    assert_close(found.state[0, 0], torch.tensor(-1.98))


@pytest.mark.parametrize("schedule", [CondOT(), VariancePreserving()])
def test_a_step_back_is_along_the_path(schedule, rng):
    """Of x_s given z it makes x_t given z."""
    path, z = GaussianPath(schedule=schedule), torch.full((50_000, 1), 2.0)
    x = _back(path, path.sample(z, 0.6, rng), 0.5, 0.6, rng)
    alpha, sigma = (float(f(torch.tensor(0.5))) for f in (schedule.alpha, schedule.sigma))
    assert float(x.mean()) == pytest.approx(2 * alpha, abs=0.02)
    assert float(x.std()) == pytest.approx(sigma, rel=0.015)  # five standard errors


def begun(path, z, x_0, rng):
    """Return the known elements at 19 times, of a model that moves nothing."""
    model = FiniteData(path, Jump if path.space.is_discrete else Flow, z)
    solver = KeepKnown(Euler(), z, torch.tensor(True))
    evaluation = Evaluation(model)
    solver.begin(evaluation, x_0, [0.0, 1.0], rng)
    return torch.stack([solver._held(evaluation, x_0, t / 20) for t in range(1, 20)])


@pytest.mark.parametrize("rows", [False, True])
def test_a_known_token_arrives_once_and_its_time_comes_from_the_rng(rows):
    path = MixturePath(Tokens(3), Masked(2))
    z, x_0 = torch.randint(2, (64, 5)), torch.full((64, 5), 2)

    def walk(seed):
        rng = random.rows(seed, 0, 64) if rows else torch.Generator().manual_seed(seed)
        return begun(path, z, x_0, rng)

    known = walk(0) == z
    assert (known[1:] | ~known[:-1]).all()  # what has arrived stays
    assert 0.4 < known[9].float().mean() < 0.6
    assert walk(0).equal(walk(0))
    assert not walk(0).equal(walk(1))


def test_what_is_known_of_a_bridge_keeps_its_noise(rng):
    z, x_0 = torch.full((500, 1), 3.0), torch.zeros(500, 1)
    path = BridgePath(noise=BrownianNoise(2.0))
    solver = KeepKnown(Euler(), z, torch.tensor(True))
    evaluation = Evaluation(GeneratorModel(lambda x, t, condition: x, path))
    solver.begin(evaluation, x_0, [0.0, 1.0], rng)
    one, other = (solver._held(evaluation, x_0, t) - 3 * t for t in (0.4, 0.5))
    assert one.std() > 0.8
    assert_close(one / 0.24**0.5, other / 0.25**0.5)  # the same xi
