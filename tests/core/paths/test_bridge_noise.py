"""Noises of bridges: nothing at both ends, and the derivative they say."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.pairs import Pair
from feller.core.paths import BridgeNoise, BridgePath, BrownianNoise, SineNoise
from feller.core.schedules import derivative

NOISES = [BrownianNoise(), BrownianNoise(0.3), SineNoise(), SineNoise(2.0)]
every_noise = pytest.mark.parametrize("noise", NOISES, ids=str)
T = torch.linspace(0, 1, 101, dtype=torch.float64)


def test_every_noise_is_tested():
    ours = {c for c in BridgeNoise.__subclasses__() if c.__module__.startswith("feller.core.")}
    assert ours == {type(noise) for noise in NOISES}


@every_noise
def test_there_is_noise_between_the_ends_alone(noise):
    variance = noise.variance(T)
    assert_close(variance[[0, -1]], torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-30)
    assert (variance[1:-1] > 0).all()
    assert_close(variance, variance.flip(0))


@every_noise
def test_the_derivative_is_that_of_the_variance(noise):
    inside = T[1:-1]
    assert_close(noise.variance_dot(inside), derivative(noise.variance, inside))
    assert_close(BridgeNoise.variance_dot(noise, inside), noise.variance_dot(inside))


@pytest.mark.parametrize("kind", [BrownianNoise, SineNoise])
@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_makes_no_noise_is_refused(kind, scale):
    with pytest.raises(ValueError, match="scale is positive"):
        kind(scale)


def test_velocities_of_sine_noise_are_finite_at_both_ends(rng):
    path, pair = BridgePath(noise=SineNoise(0.5)), Pair(torch.zeros(4, 1), torch.ones(4, 1))
    for t in (0.0, 1.0):
        assert_close(path.draw(pair, t, rng).velocity, torch.ones(4, 1), atol=1e-6, rtol=0)


@every_noise
def test_the_derivative_of_the_width(noise):
    t = T[5:-5]
    assert_close(noise.width_dot(t), derivative(lambda t: noise.variance(t).sqrt(), t))
