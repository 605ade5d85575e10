"""Precision, recall, density and coverage: their definitions, and sets of which they are known."""

import pytest
import torch

from feller.images.metrics.neighbours import neighbours


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def radius(points, i, k):
    return sorted(float((points[i] - p).norm()) for p in points)[k]


@pytest.mark.parametrize("k", [1, 3])
def test_they_are_their_definitions(k):
    samples, real = normal(23, 3) + 0.5, normal(17, 3, seed=1)
    held = [
        [float((x - y).norm()) <= radius(real, j, k) for j, y in enumerate(real)] for x in samples
    ]
    back = [
        [float((x - y).norm()) <= radius(samples, i, k) for i, x in enumerate(samples)]
        for y in real
    ]
    found = neighbours(samples, real, k=k)
    assert found.precision.value == sum(map(any, held)) / 23
    assert found.recall.value == sum(map(any, back)) / 17
    assert found.density.value == pytest.approx(sum(map(sum, held)) / (k * 23))
    assert found.coverage.value == sum(map(any, zip(*held, strict=True))) / 17


def test_one_distribution_has_what_is_expected():
    """Coverage is 1 - (n - 1) ... (n - k) / ((2 n - 1) ... (2 n - k)) for two samples of n."""
    n, k = 1_500, 5
    expected = 1.0
    for i in range(k):
        expected *= (n - 1 - i) / (2 * n - 1 - i)
    found = neighbours(normal(n, 4), normal(n, 4, seed=1), k=k)
    assert found.coverage.low < 1 - expected < found.coverage.high
    assert found.density.low < 1 < found.density.high


def test_what_is_missing_and_what_is_strange_are_told_apart():
    real = torch.cat([normal(300, 2), normal(300, 2, seed=1) + 20])
    one = normal(600, 2, seed=2)
    missing = neighbours(one, real)
    assert missing.precision.value > 0.9 and 0.4 < missing.recall.value < 0.6
    assert missing.coverage.value < 0.55
    strange = neighbours(torch.cat([real[::2] + 0.01, normal(300, 2, seed=3) - 50]), real)
    assert strange.precision.value == pytest.approx(0.5, abs=0.02) and strange.recall.value > 0.9


@pytest.mark.parametrize("k", [0, 5])
def test_a_ball_needs_a_neighbour(k):
    with pytest.raises(ValueError, match=f"k is from 1 to below 5 images, not {k}"):
        neighbours(normal(5, 2), normal(9, 2), k=k)
