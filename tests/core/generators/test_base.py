"""Generators: a short step does what the generator says, and means of generators are generators."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import (
    Diffusion,
    Flow,
    FromPosterior,
    Generator,
    Jump,
    LangevinDiffusion,
    LinearGenerator,
    Product,
    Superposition,
)
from feller.core.generators.gaussian_destinations import RatioOfNormals
from feller.core.spaces import Euclidean


def normal(shape, rng):
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def flow(shape, rng):
    return Flow(normal(shape, rng))


def diffusion(shape, rng):
    return Diffusion(normal(shape, rng), normal(shape, rng) ** 2)


def jump(shape, rng):
    law = RatioOfNormals(normal(shape, rng), normal(shape, rng).abs(), normal(shape, rng))
    return Jump(normal(shape, rng).abs(), law)


def superposition(shape, rng):
    return 0.2 * flow(shape, rng) + 0.3 * diffusion(shape, rng) + 0.5 * jump(shape, rng)


GENERATORS = {Flow: flow, Diffusion: diffusion, Jump: jump, Superposition: superposition}
every_kind = pytest.mark.parametrize("make", GENERATORS.values(), ids=lambda make: make.__name__)
TESTS = [
    lambda x: x.sum(-1),
    lambda x: x[:, 0] ** 2 * x[:, 1],
    lambda x: (-x.square()).exp().sum(-1),
]
every_function = pytest.mark.parametrize("f", TESTS)


def test_every_kind_is_tested():
    ours = {c for c in Generator.__subclasses__() if c.__module__.startswith("feller.core.")}
    # Those have tests of their own.
    others = {FromPosterior, LangevinDiffusion, LinearGenerator, Product}
    assert ours - others == GENERATORS.keys()


@every_function
def test_a_short_step_of_a_flow_is_right_to_first_order(f, rng):
    x = normal((7, 2), rng)
    generator, h = flow(x.shape, rng), 1e-6
    change = (f(generator.step(Euclidean(), x, h, rng)) - f(x)) / h
    assert_close(change, generator.apply(f, x), rtol=1e-4, atol=1e-4)


@every_kind
@every_function
def test_a_short_step_is_right_on_average(make, f, rng):
    """Of many copies of one state, the mean change is h L f, within four standard errors."""
    copies, h = 400_000, 0.01
    x = normal((1, 2), rng)
    one = make((1, 2, 2), rng).average(torch.tensor([[0.4, 0.6]], dtype=torch.float64))
    change = torch.cat([_change(one, f, x, h, rng, copies // 20) for _ in range(20)])
    error = float(change.std() / copies**0.5)
    assert abs(float(change.mean()) - h * float(one.apply(f, x))) < 4 * error + 8 * h**2


def _change(generator, f, x, h, rng, copies):
    """f after a step less f before, for copies of one state."""
    batch = _copied(generator, copies)
    moved = batch.step(Euclidean(), x.expand(copies, -1), h, rng)
    return f(moved) - f(x)


def _copied(generator, copies):
    """The generator at many copies of its one state."""
    if isinstance(generator, Superposition):
        parts = ((p.weight, _copied(p.generator, copies)) for p in generator.parts)
        return sum((w * g for w, g in parts), Superposition(()))
    if isinstance(generator, Jump):
        law = generator.destination.map(lambda v: v.expand(copies, *v.shape[1:]))
        return Jump(generator.intensity.expand(copies, -1), law, generator.cumulative)
    expanded = {name: value.expand(copies, -1) for name, value in vars(generator).items()}
    return type(generator)(**expanded)


@every_kind
@every_function
def test_the_mean_of_generators_is_a_generator(make, f, rng):
    x = normal((7, 2), rng)
    weights = torch.rand(7, 3, generator=rng, dtype=torch.float64)
    weights = weights / weights.sum(1, keepdim=True)
    conditional = make((7, 3, 2), rng)
    mean = conditional.average(weights)
    each = torch.stack(
        [conditional.average(row.expand(7, 3)).apply(f, x) for row in torch.eye(3).double()], 1
    )
    assert_close(mean.apply(f, x), (weights * each).sum(1))
