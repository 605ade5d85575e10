"""Looking at numbers: on the CPU and in eager mode, and nowhere else."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from feller.core.checks import readable


def test_numbers_at_hand_are_readable():
    assert readable(torch.zeros(2, 3))
    assert readable(torch.zeros((), requires_grad=True))
    assert not readable(torch.zeros(0))


def test_numbers_that_are_elsewhere_or_not_there_are_not():
    assert not readable(torch.zeros(2, device="meta"))
    with FakeTensorMode():
        assert not readable(torch.zeros(2))


def test_rows_of_a_mapped_function_are_not():
    seen = []
    torch.func.vmap(lambda row: (seen.append(readable(row)), row)[1])(torch.zeros(2, 3))
    assert seen == [False]


@pytest.mark.compile
def test_numbers_of_a_compiled_function_are_not():
    def function(x):
        return x + 1 if readable(x) else x

    compiled = torch.compile(function, fullgraph=True)
    assert not compiled(torch.zeros(2)).any()
