"""The data of a law: uniform where nothing is said, drawn by weight, conditions beside points."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.verify import Reference

POINTS = torch.tensor([[-2.0], [1.0], [4.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.2, 0.0, 0.8])


def test_probabilities_are_uniform_or_given():
    assert_close(Reference(POINTS).probabilities, torch.full((3,), 1 / 3, dtype=torch.float64))
    assert_close(Reference(POINTS, WEIGHTS).probabilities, WEIGHTS.double())


def test_points_are_drawn_by_weight_with_their_conditions(rng):
    points, conditions = Reference(POINTS, WEIGHTS, torch.tensor([7, 8, 9])).draw(20_000, rng)
    assert_close(points[:, 0] == -2.0, conditions == 7)
    assert_close(points[:, 0] == 4.0, conditions == 9)
    assert abs((conditions == 7).double().mean() - 0.2) < 0.012  # four standard errors
    assert not (conditions == 8).any()


def test_a_product_is_drawn_whole(rng):
    both = {"place": POINTS, "token": torch.tensor([0, 1, 2])}
    points, conditions = Reference(both, WEIGHTS).draw(100, rng)
    assert conditions is None
    assert_close(points["place"][:, 0], POINTS[points["token"], 0])


@pytest.mark.parametrize(
    ("points", "weights", "message"),
    [
        (POINTS, torch.ones(2), r"shape \(2,\) for 3 points"),
        (torch.tensor(1.0), None, "no axes"),
    ],
)
def test_points_without_weights_of_their_own_are_named(points, weights, message):
    with pytest.raises(ValueError, match=message):
        Reference(points, weights)
