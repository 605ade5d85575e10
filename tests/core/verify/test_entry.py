"""Entries of the table as models."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Diffusion, Flow, Generator, Jump
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.solutions import solution
from feller.core.sources import Gaussian, Masked
from feller.core.spaces import Euclidean, Tokens
from feller.core.verify import Entry

POINTS, WEIGHTS = torch.tensor([[-2.0], [1.0]]), torch.tensor([0.3, 0.7])
X = torch.tensor([[0.5], [-0.1]])


@pytest.mark.parametrize("t", [0.5, torch.tensor([0.5, 0.2])], ids=["one clock", "clocks"])
def test_with_several_points_it_is_the_posterior_mean(t):
    exact = FiniteData(GaussianPath(), Flow, POINTS, WEIGHTS)(X, t)
    ours = Entry(GaussianPath(), solution(GaussianPath(), Flow), POINTS, WEIGHTS)(X, t)
    assert_close(ours.velocity, exact.velocity)


def test_with_one_point_it_is_the_conditional_generator():
    path = MixturePath(Tokens(5), Masked(4))
    x, z = torch.tensor([[4, 1], [4, 4]]), torch.tensor([[1, 1]])
    solve = solution(path, Jump)
    ours, direct = Entry(path, solve, z)(x, 0.5), solve(path, x, 0.5, z)
    assert_close(ours.intensity, direct.intensity)
    assert_close(ours.destination.y, direct.destination.y)


def test_it_takes_part_in_the_algebra():
    path = GaussianPath()
    flow, noise = (Entry(path, solution(path, kind), POINTS) for kind in (Flow, Diffusion))
    both = 0.5 * flow + 0.5 * noise
    assert both.path == path
    assert both.space == path.space
    assert both.kinds == {Generator}
    assert len(both(X, 0.5).parts) == 2


def test_any_function_may_be_a_solution():
    def back(path, x, t, z):
        return Flow(-z + 0 * x)

    assert_close(Entry(GaussianPath(), back, POINTS[:1])(X, 0.5).velocity, 0 * X + 2)


def test_at_an_atom_the_posterior_is_certain():
    path = MixturePath(Euclidean(), Gaussian())
    x = torch.tensor([[-2.0], [0.3]], dtype=torch.float64)
    jump = Entry(path, solution(path, Jump), POINTS.double())(x, 0.5)
    assert_close(jump.intensity, torch.tensor([[0.0], [2.0]]).double(), atol=1e-7, rtol=0)
