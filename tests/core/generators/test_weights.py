"""Weights of sums: what they may be."""

import pytest
import torch

from feller.core.generators.weights import check_sum, fit_weight, least


def test_weights_sum_to_what_is_due():
    check_sum(1.0)
    check_sum(torch.tensor([0.0, 1e-6]), due=0.0)
    with pytest.raises(ValueError, match=r"sum to 1, these to 1\.1"):
        check_sum(torch.tensor([1.0, 1.1]))
    check_sum(torch.tensor([5.0], device="meta"))  # nothing to look at


def test_a_weight_loses_the_axes_inside_elements():
    assert fit_weight(2.0, torch.zeros(3)) == 2.0
    assert fit_weight(torch.ones(3, 1, 1), torch.zeros(3, 4)).shape == (3, 1)
    with pytest.raises(ValueError, match=r"one a sample has shape \(3, 1, ...\)"):
        fit_weight(torch.ones(2), torch.zeros(3, 4))


def test_the_least_weight():
    assert least(-0.5) == -0.5
    assert least(torch.tensor([0.3, -0.1])) == pytest.approx(-0.1)
