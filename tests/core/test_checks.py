"""Looking at numbers: on the CPU and in eager mode, and nowhere else."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from feller.core.checks import (
    check_choices,
    check_count,
    check_no_gradient,
    check_range,
    check_sizes,
    check_times,
    check_totals,
    check_weights,
    readable,
)


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


def test_times_that_cannot_be_read_are_not_looked_at():
    check_times(torch.full((2,), 7.0, device="meta"))
    torch.func.vmap(lambda t: (check_times(t), t)[1])(torch.full((2,), 7.0))
    check_times({"a": 0.5, "b": torch.tensor([0.0, 1.0])})
    check_times(1 + 1e-7)  # rounding
    t = torch.tensor([0.25])
    torch.func.jvp(lambda s: (check_times(s), s * s)[1], (t,), (t,))
    with pytest.raises(ValueError, match=r"t lies in \[0, 1\], not 7"):
        check_times({"a": 0.5, "b": torch.tensor([0.0, 7.0])})
    with pytest.raises(ValueError, match="not nan"):
        check_times(torch.tensor([0.5, torch.nan]))


def test_shares_and_ranges():
    check_weights("w", (0.5, 0.5))
    check_range((-1.0, 1.0))
    with pytest.raises(ValueError, match="w are at least 0 and sum to 1"):
        check_weights("w", (0.5, 0.6))
    with pytest.raises(ValueError, match="data lie between two rising numbers"):
        check_range((0.0, float("inf")))


@pytest.mark.parametrize("wrong", [0.0, -1.0, torch.inf, torch.nan])
def test_totals_are_positive_and_finite(wrong):
    check_totals(torch.tensor([1e-30, 2.0]))
    check_totals(torch.full((2,), wrong, device="meta"))
    with pytest.raises(ValueError, match=f"sum to {wrong:g}, not to a positive number"):
        check_totals(torch.tensor([1.0, wrong]))


def test_sizes_are_at_least_one():
    @dataclass
    class Config:
        side: int = 1
        widths: tuple[int, ...] = (2, 1)

    check_sizes(Config(), "side", "widths")
    check_sizes(Config(side=0), "widths")
    for config, message in (
        (Config(side=0), "side is at least 1, not 0"),
        (Config(widths=(2, -1)), r"widths is at least 1, not \(2, -1\)"),
        (Config(widths=()), r"widths is at least 1, not \(\)"),
    ):
        with pytest.raises(ValueError, match=message):
            check_sizes(config, "side", "widths")


@dataclass(frozen=True)
class Choice:
    kind: Literal["a", "b"] = "a"
    other: str = "c"


def test_a_name_that_is_no_choice():
    check_choices(Choice(other="any"))
    with pytest.raises(ValueError, match="kind is a or b, not 'aa'"):
        check_choices(Choice("aa"))


@dataclass(frozen=True)
class Holder:
    held: object


def test_a_gradient_that_is_asked_for_is_refused():
    asks, none = torch.zeros(2, requires_grad=True), torch.zeros(2)
    for value in (asks, asks * 2, [none, asks], {"a": none, "b": (asks,)}, Holder(Holder(asks))):
        with pytest.raises(ValueError, match="simulate gives no gradient, and it asks for one"):
            check_no_gradient("simulate", it=value)
        with torch.no_grad():
            check_no_gradient("simulate", it=value)


def test_networks_ask_for_none():
    network = torch.nn.Linear(1, 1)
    assert network.weight.requires_grad
    for value in (network, Holder(network), Holder, None, 3, "text", [torch.zeros(1)]):
        check_no_gradient("simulate", it=value)


@pytest.mark.parametrize("n", [-1, 2.0, None, "3", True])
def test_a_count_is_a_whole_number(n):
    with pytest.raises(ValueError, match="n is a whole number of at least 0, not "):
        check_count("n", n)
    check_count("n", np.int64(0))
