"""Diffusion of rotations: its generator in closed form, and walks that have the law of heat."""

import math

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.spaces import Euclidean
from feller.proteins.so3.diffusion import RotationDiffusion
from feller.proteins.so3.igso3 import IGSO3
from feller.proteins.so3.rotations import Rotations, angle, exp, hat, relative
from feller.proteins.so3.sources import UniformRotations


def rotations(*shape, rng):
    return UniformRotations().sample((*shape, 3, 3), rng, like=torch.empty(0, dtype=torch.float64))


def test_entries_and_traces_are_eigenfunctions_of_the_laplacian(rng):
    """Of degree l: minus l (l + 1). Entries are of degree 1, tr^2 less tr of degree 2."""
    x, variance = rotations(6, 2, rng=rng), torch.rand(6, 2, generator=rng).double()
    noise = RotationDiffusion(torch.zeros_like(x), variance)
    assert_close(noise.apply(lambda x: x[:, 0, 1, 2], x), -variance[:, 0] * x[:, 0, 1, 2])

    def trace(x):
        return x[:, 1].diagonal(dim1=-2, dim2=-1).sum(-1)

    def second(x):
        return trace(x) ** 2 - trace(x) - 1

    assert_close(noise.apply(second, x), -3 * variance[:, 1] * second(x))


def test_its_drift_is_a_flow(rng):
    x = rotations(5, 2, rng=rng)
    drift = x @ hat(torch.randn(5, 2, 3, generator=rng, dtype=torch.float64))

    def f(x):
        return (x**2 * torch.arange(9.0).view(3, 3)).sum((1, 2, 3))

    still = RotationDiffusion(drift, torch.zeros(5, 2, dtype=torch.float64))
    assert_close(still.apply(f, x), Flow(drift).apply(f, x))
    space = Rotations()
    assert_close(still.step(space, x, 0.1, rng), Flow(drift).step(space, x, 0.1, rng))


def test_a_walk_has_the_distribution_of_heat(rng):
    """Twenty steps of variance .02: a heat kernel of .8, since the variance is 2 a unit of time."""
    start = rotations(1, 1, rng=rng)
    x = start.expand(4000, 1, 3, 3)
    for _ in range(20):
        x = RotationDiffusion(torch.zeros_like(x), torch.tensor([[2.0]])).step(
            Rotations(), x, 0.02, rng
        )
    w = angle(relative(start, x)).flatten()
    u = IGSO3.cdf(w, torch.tensor(0.8, dtype=torch.float64))
    assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-3


def test_rows_and_elements_have_their_own_clocks(rng):
    x = rotations(3, 2, rng=rng)
    drift = torch.full_like(x, math.inf)
    h = torch.zeros(3, 2, dtype=torch.float64)
    still = RotationDiffusion(drift, torch.ones(3, 2, dtype=torch.float64))
    assert torch.equal(still.step(Rotations(), x, h, rng), x)
    drift = x @ hat(torch.ones(3, 2, 3, dtype=torch.float64))
    h[1, 1], h[2, 0] = 0.5, 0.25
    moved = RotationDiffusion(drift, torch.zeros(3, 2).double()).step(Rotations(), x, h, rng)
    assert_close(moved, x @ exp(h[..., None] * torch.ones(3, dtype=torch.float64)))


def test_rates_are_scaled_and_averaged(rng):
    x = rotations(2, 3, rng=rng)
    one = RotationDiffusion(x @ hat(torch.ones(3).double()), torch.ones(2, 3).double())
    twice = one.scaled(2.0)
    assert_close(twice.drift, 2 * one.drift)
    assert_close(twice.variance, 2 * one.variance)
    each = one.scaled(torch.tensor([1.0, 2.0, 3.0]).double().view(1, 3, 1, 1))
    assert_close(each.variance, torch.tensor([[1.0, 2.0, 3.0]]).double().expand(2, 3))
    assert_close(each.drift[:, 2], 3 * one.drift[:, 2])
    pair = RotationDiffusion(
        torch.stack([one.drift, twice.drift], 1), torch.stack([one.variance, twice.variance], 1)
    )
    mean = pair.average(torch.tensor([[0.25, 0.75], [1.0, 0.0]]).double())
    assert_close(mean.variance[:, 0], torch.tensor([1.75, 1.0]).double())
    assert_close(mean.drift[0], 1.75 * one.drift[0])


def test_it_moves_on_rotations_only(rng):
    x = rotations(1, 1, rng=rng)
    with pytest.raises(ValueError, match="moves on Rotations, not on Euclidean"):
        RotationDiffusion(x, torch.ones(1, 1)).step(Euclidean(3), x, 0.1, rng)


@pytest.mark.parametrize("shape", [(), (1, 3, 1, 1), (2, 1, 1, 1), (2, 3, 1, 1)])
def test_weights_do_not_enlarge_the_state(shape, rng):
    x = rotations(2, 3, rng=rng)
    half = RotationDiffusion(x @ hat(torch.ones(3).double()), torch.ones(2, 1).double()).scaled(
        torch.full(shape, 0.5).double()
    )
    assert_close(half.variance, torch.full((2, 3), 0.5).double())
    assert half.step(Rotations(), x, 0.1, rng).shape == x.shape
