"""The marginal jump by draws of the data: on average that of the posterior, whatever it is."""

from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.generators import Flow, Jump, Mixture, Point
from feller.core.grids import uniform_grid
from feller.core.posteriors import FiniteData
from feller.proteins.so3.destinations import Isotropic
from feller.proteins.so3.fisher import FISHER
from feller.proteins.so3.jumps import PosteriorJump
from feller.proteins.so3.paths import FisherPath
from feller.proteins.so3.rotations import angle, relative
from feller.proteins.so3.sources import UniformRotations

PATH, SHARES = FisherPath(), torch.tensor([0.5, 0.3, 0.2])


def rotations(*shape, rng, dtype=torch.float32):
    return UniformRotations().sample((*shape, 3, 3), rng, like=torch.empty(0, dtype=dtype))


def over(points, weights):
    """A posterior over points `(k, 1, 3, 3)`, from weights `(b, k)`."""
    n, k = weights.shape
    return Mixture(weights[:, None], Point(points[:, 0].expand(n, 1, k, 3, 3)))


def test_on_average_it_is_the_mean_of_conditional_jumps(rng):
    points, x = rotations(3, 1, rng=rng), rotations(1, 1, rng=rng)
    exact = FiniteData(PATH, Jump, points, SHARES)
    n, h = 40_000, 0.02
    posterior = over(points, exact.posterior(x, 0.6).expand(n, 3))
    moved = PosteriorJump(PATH, 0.6, posterior).step(PATH.space, x.expand(n, 1, 3, 3), h, rng)
    fired = int((moved != x).flatten(1).any(1).sum())
    jump = exact(x, 0.6)
    assert float(jump.intensity) > 0.5
    chance = -torch.expm1(-jump.intensity * jump.duration(h))
    assert stats.binomtest(fired, n, float(chance)).pvalue > 1e-3


def test_its_action_is_estimated_without_bias(rng):
    points, x = rotations(3, 1, rng=rng), rotations(200, 1, rng=rng)
    exact = FiniteData(PATH, Jump, points, SHARES)
    jump = PosteriorJump(PATH, 0.5, over(points, exact.posterior(x, 0.5)), draws=30)

    def f(x):
        return x[:, 0, 0, 0] + x[:, 0, 1, 2]

    gap = jump.apply(f, x)
    mean = exact(x, 0.5)
    landed = torch.stack([f(mean.destination.sample(rng)) for _ in range(30)]).mean(0)
    gap = gap - mean.intensity[:, 0] * (landed - f(x))
    assert abs(float(gap.mean())) < 5 * float(gap.std()) / 200**0.5


def walk(step, points, n, rng, steps=40):
    """Follow a step (x, t, h, posterior) from the source, and say which mode is nearest."""
    exact = FiniteData(PATH, Jump, points, SHARES)
    x = PATH.sample_source((n, 1, 3, 3), rng, like=points)
    times = uniform_grid(steps).tolist()
    for t, s in pairwise(times):
        x = step(x, t, s - t, over(points, exact.posterior(x, t)))
    return angle(relative(points[None], x[:, None]))[..., 0].argmin(1).bincount(minlength=3)


@pytest.mark.parametrize("part", [pytest.param(1.0, marks=pytest.mark.slow), 0.5])
def test_it_leads_back_to_the_data_alone_and_with_half_a_flow(part, rng):
    points = rotations(3, 1, rng=rng)
    flow = FiniteData(PATH, Flow, points, SHARES)

    def step(x, t, h, posterior):
        x = flow(x, t).scaled(1 - part).step(PATH.space, x, h, rng)
        return PosteriorJump(PATH, t, posterior).scaled(part).step(PATH.space, x, h, rng)

    found = walk(step, points, 1000, rng)
    assert stats.chisquare(found.numpy(), 1000 * SHARES.double().numpy()).pvalue > 1e-3


def test_a_mixture_of_fisher_distributions_will_do(rng):
    x = rotations(2000, 1, rng=rng)
    laws = Isotropic(rotations(2000, 1, 4, rng=rng), torch.full((2000, 1, 4), 50.0), FISHER)
    jump = PosteriorJump(PATH, 0.6, Mixture(torch.ones(2000, 1, 4), laws))
    moved = jump.step(PATH.space, x, 0.002, rng)
    PATH.space.check(moved)
    fired = (moved != x).flatten(1).any(1)
    assert 0.05 < float(fired.float().mean()) < 0.95


def test_weights_multiply_and_posteriors_do_not_average(rng):
    x = rotations(3, 1, rng=rng)
    jump = PosteriorJump(PATH, 0.5, Point(rotations(3, 1, rng=rng)))
    twice = jump.scaled(0.5).scaled(4.0)
    assert_close(twice.given(x, rng).intensity, 2 * jump.given(x, rng).intensity)
    with pytest.raises(LookupError, match="mix their posteriors"):
        jump.average(torch.ones(3, 1))


@pytest.mark.parametrize("b", [3, 4])
def test_a_weight_for_each_residue_is_one_for_flow_and_jump(b, rng):
    """Jumps have a rate where flows have a matrix: the axes of a weight are those of the states."""
    z, x = (PATH.sample_source((count, 3, 3, 3), rng) for count in (2, b))
    flow, jump = (FiniteData(PATH, kind, z) for kind in (Flow, Jump))
    weight = torch.tensor([0.25, 0.0, 1.0]).view(3, 1, 1)
    parts = (weight * flow + (1 - weight) * jump)(x, 0.5).parts
    flows, jumps = (part.generator.scaled(part.weight) for part in parts)
    assert torch.allclose(flows.velocity, weight * parts[0].generator.velocity)
    rates = (1 - weight[:, 0, 0]) * parts[1].generator.intensity
    assert torch.allclose(jumps.intensity, rates)
