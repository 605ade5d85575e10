"""Comparisons: what a generator is compared with, part by part and factor by factor."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from feller.core.divergences import GeneralizedKL, SquaredNorm
from feller.core.generators import (
    Binned,
    Categorical,
    Diffusion,
    Flow,
    Jump,
    Point,
    backward,
    stationary,
)
from feller.core.generators.cells import TokenCells
from feller.core.losses import Comparison, Measures
from feller.core.losses.terms import cells_of, rates, scaled_intensity
from feller.core.parametrizations import convert
from feller.core.paths import GaussianPath, GeodesicPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import Cosine
from feller.core.solutions import event_rate, solution
from feller.core.sources import Gaussian, Masked, UniformTokens
from feller.core.spaces import Euclidean, Tokens

PATH = GaussianPath(schedule=Cosine())
BINS = Binned(torch.zeros(1, 32, dtype=torch.float64), torch.linspace(-2, 2, 33).double())
POINTS = torch.tensor([[-1.0, 0.5], [1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
MEASURES = Measures(SquaredNorm(), GeneralizedKL())


def comparison(x, path=PATH, t=0.4, **changes):
    return replace(Comparison(MEASURES, path, torch.zeros_like(x), t, x), **changes)


@pytest.mark.parametrize("kind", [Flow, Diffusion, Jump])
def test_coordinates_of_the_marginal_generator_are_posterior_means(kind, rng):
    oracle, x = FiniteData(PATH, kind, POINTS), torch.randn(7, 2, generator=rng).double()
    posterior = oracle.posterior(x, 0.4)

    def coordinates(generator):
        if kind is Jump:
            return rates(generator, BINS.cells, PATH, x, 0.4)
        return generator.velocity if kind is Flow else generator.coordinates()

    each = [solution(PATH, kind)(PATH, x, 0.4, z.expand_as(x)) for z in POINTS]
    mean = torch.einsum("bk,kb...->b...", posterior, torch.stack([coordinates(g) for g in each]))
    assert_close(coordinates(oracle(x, 0.4)), mean)


def test_a_flow_is_compared_in_any_parametrization(rng):
    x, v = torch.randn(2, 3, 4, generator=rng)
    task = comparison(x, t=0.3, measures=replace(MEASURES, loss_space="noise"))
    assert_close(task.converted(v), convert(v, ("velocity", "noise"), PATH.schedule, x, 0.3))


def test_a_part_is_compared_in_its_direction_of_time(rng):
    x = torch.randn(3, 4, generator=rng)
    task, flow = comparison(x), Flow(torch.zeros(3, 4))
    (forward,), (back,) = (1.0 * flow).parts, backward(flow).parts
    assert_close(task.of_part(forward), flow.compare(task))
    with pytest.raises(LookupError, match="no backward solution"):
        task.of_part(back)
    with pytest.raises(ValueError, match="a stationary part has no target"):
        task.of_part(stationary(flow).parts[0])


def test_other_shapes_and_paths_are_refused():
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"the model returns \(2, 2\), the target is \(2, 3\)"):
        Flow(torch.zeros(2, 2)).compare(comparison(x))
    with pytest.raises(ValueError, match=r"z has the shape of x_t, \(2, 3\), not \(2,\)"):
        Flow(x).compare(comparison(x, z=torch.zeros(2)))
    geodesic = GeodesicPath(Euclidean(), Gaussian())
    task = comparison(x, geodesic, measures=replace(MEASURES, loss_space="score"))
    with pytest.raises(ValueError, match="velocity of a GeodesicPath gives no score"):
        Flow(x).compare(task)


def test_a_token_does_not_jump_to_itself():
    path, x = MixturePath(Tokens(3), UniformTokens(3)), torch.tensor([[0, 2]])
    law = Categorical(torch.zeros(1, 2, 3))
    jump = Jump(2 * event_rate(path, torch.tensor(0.5)).expand(1, 2), law)
    assert_close(scaled_intensity(jump, path, 0.5), torch.full((1, 2), 2.0))
    found = rates(jump, law.cells, path, x, 0.5)
    assert_close(found, torch.tensor([[[0, 2, 2], [2, 2, 0]]]) / 3)


def test_cells_are_those_of_the_prediction_or_the_tokens_of_the_path():
    with pytest.raises(LookupError, match="a Point has no bins to be compared on"):
        cells_of(Point(torch.zeros(1)), PATH)
    tokens = cells_of(Point(torch.zeros(1)), MixturePath(Tokens(4), Masked(3)))
    assert tokens == TokenCells(4)
    assert torch.equal(cells_of(BINS, PATH).edges, BINS.edges)
