"""Generators: a short step does what the generator says, and means of generators are generators."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow, Generator
from feller.core.spaces import Euclidean


def flow(shape, rng):
    return Flow(torch.randn(shape, generator=rng, dtype=torch.float64))


GENERATORS = {Flow: flow}
every_kind = pytest.mark.parametrize("make", GENERATORS.values(), ids=lambda make: make.__name__)
TESTS = [
    lambda x: x.sum(-1),
    lambda x: x[:, 0] ** 3 * x[:, 1],
    lambda x: (-x.square()).exp().sum(-1),
]


def test_every_kind_is_tested():
    ours = {c for c in Generator.__subclasses__() if c.__module__.startswith("feller.")}
    assert ours == GENERATORS.keys()


@every_kind
@pytest.mark.parametrize("f", TESTS)
def test_a_short_step_is_right_to_first_order(make, f, rng):
    x = torch.randn(7, 2, generator=rng, dtype=torch.float64)
    generator, h = make(x.shape, rng), 1e-6
    change = (f(generator.step(Euclidean(), x, h, rng)) - f(x)) / h
    assert_close(change, generator.apply(f, x), rtol=1e-4, atol=1e-4)


@every_kind
@pytest.mark.parametrize("f", TESTS)
def test_the_mean_of_generators_is_a_generator(make, f, rng):
    x = torch.randn(7, 2, generator=rng, dtype=torch.float64)
    weights = torch.rand(7, 3, generator=rng, dtype=torch.float64)
    weights = weights / weights.sum(1, keepdim=True)
    conditional = make((7, 3, 2), rng)
    mean = conditional.average(weights)
    each = torch.stack(
        [conditional.average(row.expand(7, 3)).apply(f, x) for row in torch.eye(3).double()], 1
    )
    assert_close(mean.apply(f, x), (weights * each).sum(1))
