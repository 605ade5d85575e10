"""The frontier score: 1 for equal laws, 0 for laws that do not meet, a known curve in between."""

import numpy as np
import pytest
import torch

from feller.text.metrics.mauve import clusters, frontier_score, score_of_frequencies

MANY = 1e9  # so that the half text more does not count


def test_equal_distributions_score_1_and_strangers_little():
    assert score_of_frequencies(
        torch.tensor([1.0, 3.0]) * MANY, torch.tensor([1.0, 3.0]) * MANY
    ) == (pytest.approx(1, abs=1e-6))
    apart = score_of_frequencies(torch.tensor([1.0, 0.0]) * MANY, torch.tensor([0.0, 1.0]) * MANY)
    assert apart < 0.02


def test_the_area_is_that_of_a_fine_quadrature():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    w = np.linspace(0, 1, 200_001)[1:-1, None]
    r = w * p + (1 - w) * q
    x = np.exp(-5 * (q * np.log(q / r)).sum(1))
    y = np.exp(-5 * (p * np.log(p / r)).sum(1))
    x, y = np.r_[1, x, 0], np.r_[0, y, 1]
    expected = abs(np.trapezoid(y, x))
    ours = score_of_frequencies(torch.tensor(p) * MANY, torch.tensor(q) * MANY)
    assert ours == pytest.approx(expected, abs=5e-3)
    assert ours == pytest.approx(
        score_of_frequencies(torch.tensor(q) * MANY, torch.tensor(p) * MANY)
    )


def test_clusters_find_what_is_apart(rng):
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    truth = torch.arange(90) % 3
    points = centres[truth] + torch.randn(90, 2, generator=rng)
    for seed in range(
        20
    ):  # Lloyd's algorithm may end in a poor place; most of the time it does not
        place = clusters(points, 3, torch.Generator().manual_seed(seed))
        pairs = {(int(a), int(b)) for a, b in zip(truth, place, strict=True)}
        if len(pairs) == 3:
            return
    raise AssertionError("no clustering was the true one")


def test_the_score_tells_sets_apart(rng):
    a, b = (torch.randn(200, 4, generator=rng) for _ in range(2))
    same = frontier_score(a, b)
    near = frontier_score(a, b + torch.tensor([1.0, 0, 0, 0]))
    far = frontier_score(a, b + 5)
    assert same.value > 0.9
    assert same.value > near.value + 0.1 > far.value + 0.2
    assert same.low <= same.value <= same.high


def test_too_little_is_refused(rng):
    with pytest.raises(ValueError, match="at least four texts"):
        frontier_score(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="3 points make no 4 clusters"):
        clusters(torch.zeros(3, 2), 4, rng)
