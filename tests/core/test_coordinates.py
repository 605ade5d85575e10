"""Coordinates: linear in the generator, and masses of every law on the cells of another."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.coordinates import (
    cell_of,
    cells_of,
    log_masses,
    masses,
    moving_time,
    rates,
    scaled_intensity,
    vectors,
)
from feller.core.generators import (
    Atoms,
    Binned,
    Categorical,
    Deferred,
    Diffusion,
    Flow,
    FromSource,
    Jump,
    Mixture,
    NormalTails,
    Point,
    RatioOfNormals,
)
from feller.core.parametrizations import convert
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import Cosine
from feller.core.solutions import event_rate, solution
from feller.core.sources import Masked, UniformTokens
from feller.core.spaces import Tokens

PATH = GaussianPath(schedule=Cosine())
EDGES = torch.linspace(-2, 2, 33, dtype=torch.float64)
BINS = Binned(torch.zeros(1, 32, dtype=torch.float64), EDGES)
POINTS = torch.tensor([[-1.0, 0.5], [1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)


def counted(law, edges):
    """Masses of bins by the law's own quadrature, refined by many short bins' means."""
    points, weights = law.quadrature()
    index = torch.bucketize(points.contiguous(), edges) - 1
    inside = (index >= 0) & (index < len(edges) - 1)
    found = torch.zeros(*points.shape[:-1], len(edges) - 1, dtype=torch.float64)
    return found.scatter_add(-1, index.clamp(0, len(edges) - 2), (weights * inside).double())


@pytest.mark.parametrize("kind", [RatioOfNormals, NormalTails])
def test_masses_of_normals_are_those_of_their_points(kind):
    """Running sums agree to the width of a quadrature point."""
    mean, c = torch.tensor([[-0.4, 0.3]], dtype=torch.float64), torch.tensor([[0.5, -1.0]]).double()
    law = kind(mean, torch.full_like(mean, 0.2), c)
    found, expected = masses(law, BINS).cumsum(-1), counted(law, EDGES).cumsum(-1)
    assert_close(found[..., -1], torch.ones(1, 2, dtype=torch.float64), atol=1e-6, rtol=0)
    assert (found - expected).abs().max() < 0.06


def test_masses_of_a_mixture_are_the_means(rng):
    z = torch.rand(4, 5, 3, generator=rng, dtype=torch.float64)
    weights = torch.rand(4, 5, 3, generator=rng, dtype=torch.float64)
    weights[0, 0] = 0  # no rate: no law, and no NaN
    found = masses(Mixture(weights, Point(z)), BINS)
    expected = torch.zeros(4, 5, 32, dtype=torch.float64)
    index = torch.bucketize(z, EDGES, right=True) - 1
    total = weights.sum(-1, keepdim=True)
    expected.scatter_add_(-1, index, weights / torch.where(total > 0, total, 1.0))
    assert_close(found, expected)


def test_masses_of_a_deferred_law_are_those_of_the_law_it_makes():
    law = Deferred(
        Point(torch.ones(2, 3)), (torch.zeros(2, 3),), lambda law, shift: Point(law.y + shift)
    )
    assert_close(masses(law, BINS), masses(Point(torch.ones(2, 3)), BINS))


def test_masses_of_a_source_of_tokens():
    cells = Categorical(torch.zeros(4))
    uniform = FromSource(UniformTokens(4), torch.zeros(2, 3))
    assert_close(masses(uniform, cells), torch.full((2, 3, 4), 0.25))
    mask = FromSource(Masked(3), torch.zeros(2, 3))
    assert_close(masses(mask, cells), torch.tensor([0.0, 0, 0, 1]).expand(2, 3, 4))


@pytest.mark.parametrize("make", [Categorical, lambda v: Atoms(v, torch.arange(5.0))], ids=str)
def test_masses_of_logits_are_probabilities(make, rng):
    law = make(torch.randn(2, 3, 5, generator=rng))
    assert_close(masses(law, law), law.quadrature()[1])
    assert_close(log_masses(law, law), masses(law, law).log())
    far = make(torch.tensor([[0.0, -400.0, 0, 0, 0]]))
    assert_close(log_masses(far, far)[0, 1], -400 - torch.tensor(4.0).log())


def test_laws_without_cells_in_common_are_named():
    with pytest.raises(LookupError, match="a Categorical has no masses on the cells of a Binned"):
        masses(Categorical(torch.zeros(2, 3)), BINS)
    with pytest.raises(LookupError, match="a Point has no bins to be compared on"):
        cells_of(Point(torch.zeros(1)), PATH)
    assert cells_of(Point(torch.zeros(1)), MixturePath(Tokens(4), Masked(3))).logits.shape == (4,)
    assert cells_of(BINS, PATH) is BINS


def test_each_point_has_its_cell():
    index, valid = cell_of(torch.tensor([-2.0, -1.9, 0.0, 1.99, 2.0]), BINS)
    assert index.tolist() == [0, 0, 16, 31, 31]
    assert valid.all()
    values = Atoms(torch.zeros(3), torch.tensor([-1.0, 0.0, 1.0]))
    assert cell_of(torch.tensor([-1.4, -0.6, 0.4, 0.6, 1.5]), values)[0].tolist() == [0, 0, 1, 2, 2]
    assert cell_of(torch.tensor([2, 0]), Categorical(torch.zeros(3)))[0].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("y", "cells", "message"),
    [
        (
            torch.tensor([0.0, -2.5]),
            BINS,
            r"hold -2\.5, outside the 32 cells of the model, -2 \.\.\. 2",
        ),
        (
            torch.tensor([3]),
            Categorical(torch.zeros(3)),
            r"hold 3, outside the 3 cells .* 0 \.\.\. 2",
        ),
        (
            torch.tensor([255.0]),
            Atoms(torch.zeros(3), torch.tensor([-1.0, 0.0, 1.0])),
            r"hold 255, outside the 3 cells of the model, -1\.5 \.\.\. 1\.5",
        ),
    ],
)
def test_a_point_without_a_cell_is_named(y, cells, message):
    with pytest.raises(ValueError, match=message):
        cell_of(y, cells)


def test_a_point_without_a_cell_is_nan_where_none_looks(monkeypatch):
    monkeypatch.setattr("feller.core.coordinates.readable", lambda _: False)
    found = masses(Point(torch.tensor([0.0, 5.0])), BINS)
    assert found[0].sum() == 1
    assert found[1].isnan().all()


@pytest.mark.parametrize("kind", [Flow, Diffusion, Jump])
def test_coordinates_of_the_marginal_generator_are_posterior_means(kind, rng):
    oracle, x = FiniteData(PATH, kind, POINTS), torch.randn(7, 2, generator=rng).double()
    posterior = oracle.posterior(x, 0.4)

    def coordinates(generator):
        if kind is Jump:
            return rates(generator, BINS, PATH, x, 0.4)
        return vectors(generator, "velocity", PATH, x, 0.4)

    each = [solution(PATH, kind)(PATH, x, 0.4, z.expand_as(x)) for z in POINTS]
    mean = torch.einsum("bk,kb...->b...", posterior, torch.stack([coordinates(g) for g in each]))
    assert_close(coordinates(oracle(x, 0.4)), mean)


def test_a_flow_is_compared_in_any_parametrization(rng):
    x, v = torch.randn(2, 3, 4, generator=rng)
    found = vectors(Flow(v), "noise", PATH, x, 0.3)
    assert_close(found, convert(v, ("velocity", "noise"), PATH.schedule, x, 0.3))
    diffusion = vectors(Diffusion(v, torch.tensor(2.0)), "noise", PATH, x, 0.3)
    assert_close(diffusion, torch.stack([v, torch.full_like(v, 2.0)], -1))


def test_a_token_does_not_jump_to_itself():
    path, x = MixturePath(Tokens(3), UniformTokens(3)), torch.tensor([[0, 2]])
    law = Categorical(torch.zeros(1, 2, 3))
    jump = Jump(2 * event_rate(path, torch.tensor(0.5)).expand(1, 2), law)
    assert_close(scaled_intensity(jump, path, 0.5), torch.full((1, 2), 2.0))
    found = rates(jump, law, path, x, 0.5)
    assert_close(found, torch.tensor([[[0, 2, 2], [2, 2, 0]]]) / 3)


def test_known_elements_get_a_time_at_which_they_move():
    assert moving_time(1.0) == 1.0
    rows = torch.tensor([0.5, 1.0])
    assert moving_time(rows) is rows
    elements = torch.tensor([[0.25, 1.0]])
    assert moving_time(elements).tolist() == [[0.25, 0.5]]
