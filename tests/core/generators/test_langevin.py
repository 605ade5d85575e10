"""Langevin motion: it leaves its distribution alone, and knows its score."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.divergences import GeneralizedKL, SquaredNorm
from feller.core.generators import Diffusion, Flow, LangevinDiffusion, stationary
from feller.core.generators.langevin import own_score
from feller.core.generators.shapes import check_shapes
from feller.core.guidance import guide
from feller.core.losses import Comparison
from feller.core.losses.comparison import Measures
from feller.core.paths import GaussianPath
from feller.core.spaces import Euclidean

D = torch.float64
SCORE = torch.tensor([[-1.0, 0.5], [2.0, 0.0]], dtype=D)
WIDTH, VARIANCE = torch.tensor(0.5, dtype=D), torch.tensor([[3.0, 1.0]], dtype=D)
MOTION = LangevinDiffusion(WIDTH * SCORE, WIDTH, VARIANCE)


def test_it_is_half_the_variance_times_the_score():
    split = MOTION.split()
    assert_close(MOTION.score, SCORE)
    assert_close(split.drift, VARIANCE * SCORE / 2)
    assert_close(split.covariance, VARIANCE.expand(2, 2))


def test_it_acts_and_steps_as_its_diffusion(rng):
    x, diffusion = torch.randn(2, 2, generator=rng, dtype=D), MOTION.diffusion()

    def f(x):
        return x.sin().prod(-1)

    assert_close(MOTION.apply(f, x), diffusion.apply(f, x))
    ends = [
        g.step(Euclidean(), x, 0.01, torch.Generator().manual_seed(1)) for g in (MOTION, diffusion)
    ]
    assert torch.equal(*ends)


def test_the_normal_distribution_stays_under_it():
    grid = torch.linspace(-9, 9, 4001, dtype=D)[:, None]
    mass = (-(grid**2) / 2).exp()[:, 0]
    motion = LangevinDiffusion(-grid, torch.ones((), dtype=D), torch.tensor(2.0, dtype=D))
    action = motion.apply(lambda x: (x + 0.3 * x**2).sin().sum(-1), grid)
    assert abs(float((mass * action).sum() / mass.sum())) < 1e-10


def test_a_multiple_is_more_noise_on_the_same_score():
    double = MOTION.scaled(2.0)
    assert_close(double.score, SCORE)
    assert_close(double.split().covariance, 2 * VARIANCE.expand(2, 2))


def test_the_mean_is_that_of_the_score():
    both = LangevinDiffusion(torch.stack([SCORE, 3 * SCORE], 1), torch.ones(()), VARIANCE[:, None])
    mean = both.average(torch.tensor([[0.5, 0.5], [1.0, 0.0]], dtype=D))
    assert_close(mean.score, SCORE * torch.tensor([[2.0], [1.0]]))
    assert_close(mean.split().covariance, VARIANCE.expand(2, 2))


def test_without_width_there_is_no_score():
    motion = LangevinDiffusion(SCORE, torch.zeros(()), VARIANCE)
    assert not motion.score.any()


def test_it_is_compared_by_its_direction(rng):
    path, x, z = GaussianPath(), *torch.randn(2, 2, 2, generator=rng, dtype=D)
    measures = Measures(SquaredNorm(), GeneralizedKL())
    task = Comparison(measures, path, z, 0.5, x)
    exact = LangevinDiffusion(0.5 * path.score(x, 0.5, z), WIDTH, VARIANCE)
    assert_close(exact.compare(task), torch.zeros(2, dtype=D))
    off = LangevinDiffusion(exact.direction + 1, WIDTH, VARIANCE)
    assert_close(off.compare(task), torch.ones(2, dtype=D))
    part = (0.0 * stationary(off)).leaves()[0]  # weights count only when it is simulated
    assert_close(task.of_part(part), torch.ones(2, dtype=D))
    with pytest.raises(ValueError, match="a stationary part has no target"):
        task.of_part(stationary(Diffusion(x, x**2)).leaves()[0])


def test_a_generator_says_whether_it_brings_a_score():
    flow = Flow(SCORE)
    assert own_score(1.0 * flow) is None
    assert_close(own_score(1.0 * flow + 0.3 * stationary(MOTION)), SCORE)


def test_it_is_guided_by_its_score():
    other = LangevinDiffusion(0 * SCORE, WIDTH, VARIANCE)
    assert_close(guide(other, MOTION, 2.0).split().drift, VARIANCE * SCORE)


def test_a_score_of_other_states_is_refused():
    with pytest.raises(ValueError, match=r"a score of shape \(2, 2\) is not one of states"):
        check_shapes(MOTION, Euclidean(), torch.zeros(3, 2))
