"""Factors: each acts with the others held, and steps alone."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.generators.factors import apply_factors, step_factors
from feller.core.spaces import Euclidean, ProductSpace

X = {"a": torch.tensor([[2.0]]), "b": torch.tensor([[3.0]])}
FLOWS = {"a": Flow(torch.tensor([[1.0]])), "b": Flow(torch.tensor([[10.0]]))}
SPACE = ProductSpace({"a": Euclidean(1), "b": Euclidean(1)})


def test_the_product_rule():
    found = apply_factors(FLOWS, lambda x: (x["a"] * x["b"]).sum(-1), X)
    assert_close(found, torch.tensor([1.0 * 3 + 10 * 2]))


def test_each_factor_has_its_time():
    moved = step_factors(FLOWS, SPACE, X, {"a": 0.5, "b": 0.1}, None)
    assert {name: float(x) for name, x in moved.items()} == {"a": 2.5, "b": 4.0}


def test_other_factors_are_refused():
    with pytest.raises(ValueError, match=r"a product of \['a', 'b'\] moves on those factors only"):
        step_factors(FLOWS, SPACE, {"a": X["a"]}, 0.5, None)
    with pytest.raises(ValueError, match="moves on those factors only"):
        step_factors(FLOWS, Euclidean(1), X, 0.5, None)
