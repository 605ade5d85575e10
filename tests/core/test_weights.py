"""What a weight is at (x, t), whichever way it was written."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.weights import Multiplied, weight_of

X = torch.zeros(2, 3)


def test_a_number_is_itself():
    assert weight_of(0.5).at(X, 0.1) == 0.5
    assert weight_of(0.0).is_zero() and not weight_of(0.5).is_zero()


def test_a_function_of_time_has_the_axes_of_the_clock():
    rising = weight_of(lambda t: t)
    assert rising.at(X, 0.25) == 0.25
    assert_close(rising.at(X, torch.tensor([0.0, 0.5])), torch.tensor([[0.0], [0.5]]))
    assert rising.at(X, torch.zeros(2, 3)).shape == (2, 3)
    assert rising.at({"a": X}, 0.25) == 0.25
    with pytest.raises(ValueError, match="takes one clock for all factors"):
        rising.at({"a": X}, torch.zeros(2))


def test_a_tensor_has_all_axes_of_the_state():
    assert weight_of(torch.ones(3)).at(X, 0.1).shape == (1, 3)
    assert weight_of(lambda t: t * torch.ones(3)).at(X, 0.5).shape == (1, 3)
    assert weight_of(torch.tensor(0.5)).at(X, 0.1).shape == ()
    assert weight_of(torch.ones(2, 3)).at({"a": X}, 0.1).shape == (2, 3)


def test_weights_multiply():
    both = Multiplied(weight_of(lambda t: t), weight_of(torch.tensor([1.0, 2.0, 3.0])))
    assert_close(both.at(X, 0.5), torch.tensor([[0.5, 1.0, 1.5]]))
    assert not both.is_zero()
    assert Multiplied(weight_of(0.0), both).is_zero()
    assert weight_of(both) is both
