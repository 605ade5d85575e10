"""Shapes: nothing broadcasts, or fits by chance."""

from types import SimpleNamespace

import pytest
import torch

from feller.core.generators import Categorical, Diffusion, Flow, FromPosterior, Jump, Product
from feller.core.generators.shapes import check_shapes
from feller.core.spaces import Euclidean, Sphere, Tokens
from feller.core.spaces.product import ProductSpace

X, LINE = torch.zeros(2, 3), Euclidean()


def zeros(*shape):
    return torch.zeros(shape)


def jump(*shape):
    return Jump(zeros(*shape), Categorical(zeros(*shape, 4)))


@pytest.mark.parametrize(
    "generator",
    [
        Flow(zeros(2, 3)),
        Diffusion(zeros(2, 3), torch.ones(())),
        Diffusion(zeros(2, 3), zeros(2, 1)),
        jump(2, 3),
        0.5 * Flow(zeros(2, 3)) + zeros(3) * jump(2, 3),
        FromPosterior(Categorical(zeros(7)), lambda law: 1.0 * jump(7)),
    ],
    ids=lambda generator: type(generator).__name__,
)
def test_what_is_of_each_element_passes(generator):
    check_shapes(generator, LINE, X)


@pytest.mark.parametrize(
    ("generator", "named"),
    [
        (Flow(zeros(2)), r"a velocity of shape \(2,\) is not one of states \(2, 3\)"),
        (Flow(zeros(1, 3)), r"a velocity of shape \(1, 3\)"),
        (Flow(zeros(3)), r"a velocity of shape \(3,\)"),
        (Diffusion(zeros(2, 1), torch.ones(())), r"a drift of shape \(2, 1\)"),
        (Diffusion(zeros(2, 3), zeros(2)), r"a covariance of shape \(2,\)"),
        (Diffusion(zeros(2, 3), zeros(1, 2, 3)), r"a covariance of shape \(1, 2, 3\)"),
        (jump(2), r"an intensity of shape \(2,\) is not one of states \(2, 3\)"),
        (jump(1, 3), r"an intensity of shape \(1, 3\)"),
        (0.5 * Flow(zeros(2, 3)) + 0.5 * jump(2), "an intensity of shape"),
        (zeros(2) * Flow(zeros(2, 3)), r"a weight of shape \(2,\)"),
    ],
)
def test_what_would_broadcast_is_refused(generator, named):
    with pytest.raises(ValueError, match=named) as caught:
        check_shapes(generator, LINE, X)
    assert "\n" not in str(caught.value)


def test_vectors_jump_as_one():
    check_shapes(jump(2), Sphere(), X)
    with pytest.raises(ValueError, match="an intensity"):
        check_shapes(jump(2, 3), Sphere(), X)


def test_factors_are_looked_at_by_name():
    space = ProductSpace({"a": LINE, "b": Tokens(4)})
    x = {"a": X, "b": zeros(2, 1).long()}
    check_shapes(Product({"a": Flow(X), "b": jump(2, 1)}), space, x)
    with pytest.raises(ValueError, match="an intensity"):
        check_shapes(Product({"a": Flow(X), "b": jump(2)}), space, x)


def test_kinds_of_others_are_theirs():
    check_shapes(SimpleNamespace(velocity=zeros(5)), LINE, X)
