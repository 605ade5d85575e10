"""Tokens: what is not one."""

import pytest
import torch

from feller.core.spaces import Tokens


def test_tokens_are_those_of_the_vocabulary():
    assert Tokens(5).is_discrete
    Tokens(5).check(torch.tensor([[0, 4]]))
    Tokens(5).check(torch.zeros(0, 3, dtype=torch.int64))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.tensor([0, 5]), r"tokens are 0 \.\.\. 4, these 0 \.\.\. 5"),
        (torch.tensor([-1, 4]), r"tokens are 0 \.\.\. 4, these -1 \.\.\. 4"),
        (torch.tensor([0.0]), r"integers, not torch\.float32"),
    ],
)
def test_what_is_not_a_token(x, message):
    with pytest.raises(ValueError, match=message):
        Tokens(5).check(x)
