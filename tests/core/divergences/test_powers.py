"""Powers: the squared norm, and the p-norms beside it."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.divergences import PNorm, SquaredNorm


def test_the_squared_norm_is_twice_the_limit_of_p_norms(rng):
    target, predicted = torch.randn(2, 50, generator=rng, dtype=torch.float64)
    near = PNorm(2 + 1e-7)(target, predicted)
    assert_close(2 * near, SquaredNorm()(target, predicted), rtol=1e-4, atol=1e-6)


def test_the_fourth_power_is_a_polynomial(rng):
    a, b = torch.randn(2, 50, generator=rng, dtype=torch.float64)
    assert_close(PNorm(4.0)(a, b), (a - b) ** 2 * (a**2 + 2 * a * b + 3 * b**2) / 4)


@pytest.mark.parametrize("p", [2.0, 1.5, float("nan")])
def test_powers_without_a_bend_to_follow_are_refused(p):
    with pytest.raises(ValueError, match=f"p is above 2, not {p}; for 2 there is squared_norm"):
        PNorm(p)
