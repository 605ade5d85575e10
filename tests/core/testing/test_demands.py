"""What answers a check: messages of one line, and p-values that are uniform where all is right."""

import math

import pytest
import torch

from feller.core.testing.demands import demand, demand_close, fit_p_value, table_p_value


def test_a_complaint_is_the_message():
    demand(True, "nothing")
    with pytest.raises(AssertionError, match=r"^too large$"):
        demand(False, "too large")


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (torch.tensor([1.0, 2.1]), "the sum is off by 0.1, more than 0.01"),
        (torch.tensor([1.0, math.nan]), "the sum is off by inf, more than 0.01"),
        (torch.tensor([1.0]), r"the sum has shape \(1,\), not \(2,\)"),
    ],
)
def test_a_gap_is_told(found, complaint):
    expected = torch.tensor([1.0, 2.0])
    demand_close(expected + 0.001, expected, "the sum", within=0.01)
    with pytest.raises(AssertionError, match=complaint):
        demand_close(found, expected, "the sum", within=0.01)


def normal(x):
    return -(x**2) / 2 - math.log(2 * math.pi) / 2


def test_samples_of_a_density(rng):
    x = torch.randn(5000, generator=rng)
    p, total = fit_p_value(x, normal)
    assert p > 1e-3
    assert total == pytest.approx(1, abs=1e-6)
    assert fit_p_value(1.2 * x, normal)[0] < 1e-3
    assert fit_p_value(x, lambda x: normal(x) + 1)[1] == pytest.approx(math.e, rel=1e-6)


def test_samples_of_a_table(rng):
    law = torch.tensor([0.2, 0.8, 0.0])
    x = (torch.rand(5000, generator=rng) < 0.8).long()
    assert table_p_value(x, law) > 1e-3
    assert table_p_value(1 - x, law) < 1e-3
    x[0] = 2
    assert table_p_value(x, law) == 0
    assert table_p_value(torch.zeros(9, dtype=torch.int64), torch.tensor([1.0, 0.0])) == 1


def test_a_density_is_summed_within_the_space(rng):
    x = torch.rand(5000, generator=rng)
    p, total = fit_p_value(x, torch.zeros_like, (0.0, 1.0))
    assert p > 1e-3
    assert total == pytest.approx(1, abs=1e-9)
    assert fit_p_value(x, torch.zeros_like)[1] == pytest.approx(3, abs=0.01)
