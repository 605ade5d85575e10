"""The hyperbolic cosine: the squared norm for small numbers, an exponential for large ones."""

import math

import torch
from torch.testing import assert_close

from feller.core.divergences import Cosh, SquaredNorm


def test_small_numbers_have_half_the_squared_norm(rng):
    a, b = 1e-3 * torch.randn(2, 50, generator=rng, dtype=torch.float64)
    assert_close(Cosh()(a, b), SquaredNorm()(a, b) / 2, rtol=1e-5, atol=0)


def test_terms_that_grow_do_not_cancel():
    found = Cosh()(torch.tensor([-30.0]), torch.tensor([30.0]))
    assert_close(found, torch.tensor([60 * math.sinh(30.0)]))
