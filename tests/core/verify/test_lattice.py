"""Evenly spread states: unbiased, far less noisy than draws, and only where they are known."""

import pytest
import torch

from feller.core.paths import GaussianPath, MixturePath
from feller.core.sources import Gaussian
from feller.core.spaces import Euclidean
from feller.core.verify import Reference
from feller.core.verify.lattice import SETS, even, student

POINTS = torch.tensor([[-2.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
DATA = Reference(POINTS, torch.tensor([0.25, 0.75]).double(), torch.tensor([0, 1]))


def test_sets_have_the_moments_of_the_path_to_many_digits():
    sets = list(even(GaussianPath(), DATA, 0.5, 512 * SETS, 0))
    assert len(sets) == SETS
    means = torch.stack([law.states.mean(0) for law, _ in sets])
    expected = 0.5 * torch.tensor([0.25, 0.25], dtype=torch.float64)
    assert (means.mean(0) - expected).abs().max() < 1e-3  # draws would err by 5e-3
    assert means.std(0).max() < 0.2 * 0.7 / 512**0.5
    for law, condition in sets[:2]:
        assert torch.equal(torch.bincount(condition), torch.tensor([128, 384]))
        assert law.rise(lambda x: x).mean(0) == pytest.approx([0.25, 0.25], abs=0.02)


def test_the_seed_chooses_the_sets():
    first, again, other = (
        next(even(GaussianPath(), DATA, 0.5, 2048, seed))[0].states for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_other_paths_and_few_samples_have_none():
    mixture = MixturePath(Euclidean(), Gaussian())
    assert not list(even(mixture, DATA, 0.5, 4096, 0))
    assert not list(even(GaussianPath(), DATA, 0.5, 100, 0))
    assert not list(even(GaussianPath(), Reference(torch.zeros(1, 40)), 0.5, 4096, 0))


def test_few_draws_have_wider_errors():
    assert student(5.0, 4) > student(5.0, 32) > student(5.0, 10**6) > 4.99
