"""A kind of one's own that is one tensor: it adds, multiplies, averages and is compared."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.testing import assert_close

from feller.core.divergences import GeneralizedKL, SquaredNorm
from feller.core.generators import LinearGenerator
from feller.core.losses import Comparison, Measures
from feller.core.paths import GaussianPath
from feller.core.solutions import solves, table


@dataclass(frozen=True)
class Pull(LinearGenerator):
    """Motion by a force, as any flow, under another name."""

    force: Tensor

    def values(self):
        return self.force

    def with_values(self, values):
        return Pull(values)

    def apply(self, f, x):
        return torch.func.jvp(f, (x,), (self.force,))[1]

    def step(self, space, x, h, rng):
        return x + h * self.force


def test_multiples_and_means(rng):
    force = torch.randn(2, 3, 4, generator=rng)
    weights = torch.rand(2, 3, generator=rng)
    assert_close(Pull(force).average(weights).force, torch.einsum("bk,bkd->bd", weights, force))
    one = Pull(force[:, 0])
    assert_close((0.25 * one + 0.75 * one).step(None, force[:, 0], 0.5, None), 1.5 * force[:, 0])
    assert_close((2.0 * one).parts[0].scaled().force, 2 * force[:, 0])


def test_it_is_compared_with_its_solution(rng, monkeypatch):
    monkeypatch.setattr(table, "_SOLUTIONS", dict(table._SOLUTIONS))  # for this test alone

    @solves(GaussianPath, Pull)
    def pull(path, x, t, z):
        return Pull(z - x)

    x, z = torch.randn(2, 5, 3, generator=rng)
    task = Comparison(Measures(SquaredNorm(), GeneralizedKL()), GaussianPath(), z, 0.5, x)
    assert_close(Pull(torch.zeros_like(x)).compare(task), (z - x).square().mean(1))
