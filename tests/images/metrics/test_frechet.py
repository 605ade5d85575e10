"""The Fréchet distance against independent implementations, and what its interval covers."""

import inspect
import math

import numpy as np
import pytest
import torch

from feller.images.metrics.frechet import frechet_distance, frechet_estimate, unbiased_frechet


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_what_scipy_says():
    """By the square root of a matrix that is not symmetric, as published figures have it."""
    linalg = pytest.importorskip("scipy.linalg")
    mix = torch.eye(24) + 0.3 * normal(24, 24, seed=2)
    a, b = normal(300, 24), normal(500, 24, seed=1) @ mix + 0.5
    x, y = a.numpy(), b.numpy()
    root = linalg.sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_estimate(a, b).value == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow  # for its import
def test_it_is_what_torchmetrics_says():
    image = pytest.importorskip("torchmetrics.image.fid")

    class Features(torch.nn.Module):
        num_features = 8

        def forward(self, x):
            return x.flatten(1)

    a, b = normal(200, 8), 1.5 * normal(300, 8, seed=1) + 0.2
    theirs = image.FrechetInceptionDistance(Features(), normalize=True, input_img_size=(1, 2, 4))
    theirs.set_dtype(torch.float64)
    for features, real in ((a, False), (b, True)):
        scaled = features.reshape(-1, 2, 2, 2)
        theirs.update(scaled, real=real)
    got = float(theirs.compute())
    assert frechet_distance(a, b) == pytest.approx(got, rel=1e-4)


def test_fewer_images_than_features():
    a, b = normal(10, 40), normal(12, 40, seed=1)
    x, y = ((f - f.mean(0)) / math.sqrt(len(f) - 1) for f in (a, b))
    # tr (C_a C_b)^1/2 is the nuclear norm of X Y^T, which needs no root of a singular matrix.
    both = torch.linalg.svdvals(x @ y.T).sum()
    expected = (
        (a.mean(0) - b.mean(0)).square().sum() + x.square().sum() + y.square().sum() - 2 * both
    )
    assert frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-6)


def test_far_from_zero_no_digits_are_lost():
    a, b = normal(100, 4), normal(100, 4, seed=1)
    assert frechet_distance(a + 1e6, b + 1e6) == pytest.approx(frechet_distance(a, b), rel=1e-5)


def test_equal_sets_are_at_no_distance():
    a = normal(50, 6)
    assert abs(frechet_distance(a, a)) < 1e-9


def test_the_interval_covers_the_spread_of_the_figure():
    """The standard deviation over fresh samples is what half the interval says."""
    real = normal(2_000, 6, seed=99)
    found = [frechet_estimate(normal(300, 6, seed=s) * 1.2 + 0.3, real) for s in range(40)]
    spread = torch.tensor([f.value for f in found]).std()
    claimed = torch.tensor([(f.high - f.low) / (2 * 1.96) for f in found]).median()
    assert 0.75 < float(claimed / spread) < 1.6


def test_the_bias_is_that_of_real_images_of_as_many():
    """FID of 200 images of the same distribution is above 0, and falls like 1 / n."""
    real = normal(20_000, 10, seed=99)
    few, many = (
        np.mean([frechet_distance(normal(n, 10, seed=s), real) for s in range(10)])
        for n in (200, 800)
    )
    assert few / many == pytest.approx(4, rel=0.2)


def test_extrapolated_it_is_that_of_the_gaussians():
    """On average, where the distance of few images is far above; and as its interval says."""
    scales = torch.linspace(0.5, 1.5, 10, dtype=torch.float64)
    expected = float((scales - 1).square().sum() + 10 * 0.1**2)  # of diagonal covariances
    drawn = [
        (normal(200, 10, seed=s) * scales + 0.1, normal(400, 10, seed=1000 + s)) for s in range(40)
    ]
    plain = torch.tensor([frechet_distance(a, b) for a, b in drawn])
    found = [unbiased_frechet(a, b, halves=12) for a, b in drawn]
    values = torch.tensor([f.value for f in found])
    error = float(values.std() / math.sqrt(len(drawn)))
    assert abs(float(values.mean()) - expected) < 3 * error
    assert float(plain.mean()) - expected > 10 * error
    claimed = torch.tensor([(f.high - f.low) / (2 * 1.96) for f in found]).median()
    assert 0.7 < float(claimed / values.std()) < 1.5
    with pytest.raises(
        ValueError, match="of 10 features is extrapolated from at least 33 images a set"
    ):
        unbiased_frechet(normal(30, 10), normal(400, 10))


@pytest.mark.parametrize(("function", "count"), [(frechet_distance, 1), (frechet_estimate, 3)])
def test_too_few_images_are_refused(function, count):
    with pytest.raises(ValueError, match=f"needs {count + 1} images a set, not {count} and 9"):
        inspect.unwrap(function)(normal(count, 3), normal(9, 3))
