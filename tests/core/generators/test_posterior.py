"""A generator from a posterior is built once, when it is first asked to move."""

import torch
from torch.testing import assert_close

from feller.core.generators import Atoms, Flow, FromPosterior
from feller.core.spaces import Euclidean

X = torch.zeros(2, 1)
LAW = Atoms(torch.zeros(2, 1, 2), torch.tensor([1.0, 3.0]))


def test_it_is_built_at_the_first_use_and_once():
    calls = []

    def build(law):
        calls.append(law)
        values, weights = law.quadrature()
        return Flow((values * weights).sum(-1))

    generator = FromPosterior(LAW, build)
    assert not calls
    assert_close(generator.step(Euclidean(1), X, 0.5, None), torch.ones(2, 1))
    assert_close(generator.apply(lambda x: x.sum(-1), X), torch.full((2,), 2.0))
    assert_close(generator.split().drift, torch.full((2, 1), 2.0))
    assert calls == [LAW]


def test_it_averages():
    pair = FromPosterior(LAW, lambda law: Flow(torch.tensor([[[1.0], [3.0]]])))
    assert_close(pair.average(torch.tensor([[0.25, 0.75]])).velocity, torch.tensor([[2.5]]))
