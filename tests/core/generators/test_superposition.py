"""Superpositions: what may be added, and what the sum does."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import (
    Diffusion,
    Flow,
    Jump,
    Point,
    Product,
    backward,
    stationary,
)
from feller.core.generators.base import Superposition
from feller.core.generators.parts import Part
from feller.core.spaces import Euclidean, ProductSpace

X = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
FLOW, BACK = Flow(-X), Flow(X)
LANGEVIN = Diffusion(-X, torch.full_like(X, 2.0))
JUMP = Jump(torch.ones_like(X), Point(torch.zeros_like(X)))


def square(x):
    return x.square().sum(-1)


def test_a_superposition_is_the_weighted_sum():
    mixed = 0.3 * FLOW + 0.7 * JUMP
    expected = 0.3 * FLOW.apply(square, X) + 0.7 * JUMP.apply(square, X)
    assert_close(mixed.apply(square, X), expected)


def test_stationary_parts_add_at_any_weight():
    mixed = 1.0 * FLOW + 5.0 * stationary(LANGEVIN)
    expected = FLOW.apply(square, X) + 5 * LANGEVIN.apply(square, X)
    assert_close(mixed.apply(square, X), expected)


def test_a_corrector_goes_back_what_the_predictor_went_too_far():
    mixed = 3.0 * FLOW + 2.0 * backward(BACK)
    assert_close(mixed.apply(square, X), FLOW.apply(square, X))


def test_weights_may_depend_on_the_coordinate():
    share = torch.tensor([0.0, 1.0], dtype=torch.float64)
    mixed = share * FLOW + (1 - share) * JUMP
    moved = mixed.step(Euclidean(), X, 1e6, torch.Generator().manual_seed(0))
    assert torch.equal(moved[:, 0], torch.zeros(2, dtype=torch.float64))  # jumped for sure
    assert torch.equal(moved[:, 1], X[:, 1] - 1e6 * X[:, 1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: 1.0 * FLOW + 1.0 * JUMP, "sum to 1, these to 2"),
        (lambda: 0.5 * FLOW, "sum to 1, these to 0.5"),
        (lambda: 1.0 * stationary(LANGEVIN), "sum to 1, these to 0"),
        (lambda: 2.0 * FLOW + 2.0 * backward(BACK), "sum to 1, these to 0"),
        (lambda: 1.5 * FLOW + -0.5 * JUMP, "at least 0"),
        (lambda: torch.tensor([0.5, 0.6]) * FLOW + 0.5 * JUMP, "sum to 1, these to 1.1"),
    ],
)
def test_what_is_no_superposition_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make().apply(square, X)
    with pytest.raises(ValueError, match=message):
        make().step(Euclidean(), X, 0.1, None)


@pytest.mark.parametrize("generator", [FLOW, LANGEVIN, JUMP, 0.5 * FLOW + 0.5 * JUMP])
def test_a_multiple_has_a_multiple_of_the_rate(generator):
    if hasattr(generator, "parts"):  # twice a superposition is none, so look at its parts
        assert [p.weight for p in generator.scaled(2.0).parts] == [1.0, 1.0]
        return
    assert_close(generator.scaled(3.0).apply(square, X), 3 * generator.apply(square, X))


def test_a_superposition_splits_into_its_parts():
    x = torch.zeros(1, 2)
    law = Point(torch.ones(1, 2))
    inner = 0.25 * Flow(x + 4) + 0.75 * Diffusion(x + 8, x + 2)
    whole = 0.5 * inner + 0.5 * Jump(x + 6, law) + 3.0 * stationary(Diffusion(x + 1, x + 1))
    parts = whole.split()
    assert_close(parts.drift, x + 0.5 * (0.25 * 4 + 0.75 * 8) + 3)
    assert_close(parts.covariance, x + 0.5 * 0.75 * 2 + 3)
    (jump,) = parts.jumps
    assert_close(jump.intensity, x + 3)
    assert jump.destination is law
    assert Flow(x).split().covariance is None


def test_weights_are_checked_inside_sums():
    flow = Flow(torch.zeros(1, 1))
    with pytest.raises(ValueError, match="sum to 1, these to 2"):
        Superposition((Part(1.0, 1.0 * flow + 1.0 * flow),)).split()
    with pytest.raises(LookupError, match="a Product does not split"):
        Product({"a": flow}).split()


def test_a_superposition_is_a_part_of_another():
    """As of a joint network beside another model: weights multiply, inner sums are checked."""
    joint = 0.5 * FLOW + 0.5 * JUMP
    sum_ = Superposition((Part(0.4, joint), Part(0.6, FLOW)))
    expected = 0.8 * FLOW.apply(square, X) + 0.2 * JUMP.apply(square, X)
    assert_close(sum_.apply(square, X), expected)
    space = Euclidean(1)
    moved = Superposition((Part(0.4, 1.0 * FLOW), Part(0.6, FLOW))).step(space, X, 0.1, None)
    assert_close(moved, 0.9 * X)
    still = Superposition((Part(2.0, LANGEVIN, "stationary"), Part(1.0, LANGEVIN, "stationary")))
    whole = Superposition((Part(1.0, FLOW), Part(0.5, still, "stationary")))
    assert_close(whole.apply(square, X), FLOW.apply(square, X) + 1.5 * LANGEVIN.apply(square, X))
    with pytest.raises(ValueError, match=r"sum to 1, these to 0\.5"):
        Superposition((Part(1.0, 0.5 * FLOW),)).apply(square, X)


def test_weights_do_not_enlarge_the_state():
    """A weight per sample has the axes of the state; three numbers are one per coordinate."""
    x = torch.zeros(3, 1)
    flow, jump = Flow(x), Jump(x, Point(x))
    with pytest.raises(ValueError, match=r"a weight of shape \(3,\) does not broadcast"):
        (torch.full((3,), 0.5) * flow + torch.full((3,), 0.5) * jump).step(
            Euclidean(), x, 0.1, None
        )
    per_sample = torch.full((3, 1), 0.5)
    moved = (per_sample * flow + per_sample * jump).step(Euclidean(), x, 0.1, None)
    assert moved.shape == x.shape


def test_a_weight_per_sample_of_elements_that_are_vectors():
    here = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    jump = Jump(torch.ones(2), Point(-here))
    half = torch.full((2, 1), 0.5)
    parts = (half * jump + half * jump).split().jumps
    assert [part.intensity.tolist() for part in parts] == [[0.5, 0.5], [0.5, 0.5]]


def test_sums_begin_at_zero_and_have_weights():
    flow = Flow(torch.ones(1, 1))
    assert len(sum([0.5 * flow, 0.5 * flow]).parts) == 2
    with pytest.raises(TypeError, match="weigh each part"):
        0.5 * flow + flow


def test_forth_and_back_alike_leaves_the_law_alone():
    forth_and_back = Superposition((Part(1.0, FLOW), Part(1.0, BACK, "backward")))
    whole = Superposition((Part(1.0, FLOW), Part(2.0, forth_and_back, "stationary")))
    assert_close(whole.apply(square, X), 3 * FLOW.apply(square, X) + 2 * BACK.apply(square, X))


def test_a_sum_of_products_is_a_product_of_sums():
    x = torch.zeros(1, 1)
    one, two = (Product({"a": Flow(x + n), "b": Flow(x - n)}) for n in (1, 3))
    factors = (0.25 * one + 0.75 * two).by_factor()
    assert {name: float(g.split().drift) for name, g in factors.items()} == {"a": 2.5, "b": -2.5}
    assert Flow(x).by_factor().keys() == {""}


def test_a_factor_of_a_product_in_a_sum_may_be_a_sum():
    flow = Flow(torch.ones(1, 1))
    product = Product({"a": 0.3 * flow + 0.7 * flow})
    both, x = 0.25 * product + 0.75 * product, {"a": torch.zeros(1, 1)}
    assert_close(both.apply(lambda x: x["a"].sum(-1), x), torch.ones(1))
    moved = both.step(ProductSpace({"a": Euclidean()}), x, 0.5, None)
    assert_close(moved["a"], torch.full((1, 1), 0.5))
    with pytest.raises(ValueError, match="sum to 1, these to"):
        (0.5 * product).apply(lambda x: x["a"].sum(-1), x)
