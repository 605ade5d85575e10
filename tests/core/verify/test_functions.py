"""Test functions: smooth numbers of a state, one for each row, that fit the space."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core.sources import Gaussian, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Euclidean, Interval, ProductSpace, Sphere, Tokens, Torus
from feller.core.verify import bank
from feller.core.verify.functions import interval

SPACES = [
    (Euclidean(), Gaussian(), (3,)),
    (Euclidean(3), Gaussian(), (2, 4, 4)),
    (Torus(), UniformBox(-math.pi, math.pi), (2,)),
    (Sphere(), UniformSphere(), (3,)),
    (Interval(), UniformBox(), (2,)),
    (Tokens(5), UniformTokens(5), (4,)),
    (Tokens(5, 0), UniformTokens(5), ()),
]
every_space = pytest.mark.parametrize(("space", "source", "event"), SPACES, ids=str)


@every_space
def test_each_row_has_its_number_whatever_its_neighbours(space, source, event, rng):
    x = source.sample((6, *event), rng)
    functions = bank(space, x)
    values = functions.values(x)
    assert len(set(functions.names)) == 6
    assert values.shape == (6, 6)
    assert_close(values[2:4], functions.values(x[2:4]))
    assert (values.std(0) > 1e-3).all()
    assert values.abs().max() <= 1


@every_space
def test_every_coordinate_counts(space, source, event, rng):
    x, other = source.sample((1, *event), rng), source.sample((1, *event), rng)
    f = bank(space, x).values
    for e in range(x[0].numel()):
        moved = x.clone().reshape(1, -1)
        moved[0, e] = other.reshape(1, -1)[0, e]
        moved = moved.reshape(x.shape)
        assert torch.equal(moved, x) or (f(moved) - f(x)).abs().max() > 1e-6


def test_the_seed_chooses_the_functions(rng):
    x = torch.randn(4, 2, generator=rng)
    first, again, other = (bank(Euclidean(), x, seed=s).values(x) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_functions_on_the_torus_are_periodic(rng):
    x = torch.rand(5, 2, generator=rng, dtype=torch.float64)
    f = bank(Torus(), x).values
    assert_close(f(x + 2 * math.pi), f(x))


def test_functions_on_an_interval_are_flat_at_its_ends():
    assert interval(Interval(0.5, 2.0)) == (0.5, 2.0)
    assert interval(Euclidean()) is None
    ends = torch.tensor([[0.5], [2.0]], dtype=torch.float64)
    f = bank(Interval(0.5, 2.0), ends).values
    slope = torch.func.jvp(f, (ends,), (torch.ones_like(ends),))[1]
    assert slope.abs().max() < 1e-12


def test_functions_on_a_product_see_every_factor(rng):
    space = ProductSpace({"place": Euclidean(), "token": Tokens(3)})
    x = {"place": torch.randn(4, 2, generator=rng), "token": torch.zeros(4, 1, dtype=torch.int64)}
    f = bank(space, x).values
    assert (f({**x, "place": x["place"] + 1}) != f(x)).any(0).all()
    assert (f({**x, "token": x["token"] + 1}) != f(x)).any(0).all()
