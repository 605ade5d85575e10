"""Diffusions: exact moments of a step, second derivatives, and where they move."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Diffusion
from feller.core.spaces import Euclidean, Sphere


def test_apply_has_the_weighted_laplacian():
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    diffusion = Diffusion(torch.zeros_like(x), torch.tensor([[3.0, 5.0]], dtype=torch.float64))
    value = diffusion.apply(lambda x: x[:, 0] ** 3 + x[:, 1] ** 4, x)
    assert_close(value, torch.tensor([0.5 * 3 * 6 + 0.5 * 5 * 48], dtype=torch.float64))


@pytest.mark.parametrize("h", [0.25, torch.tensor([0.25]).expand(200_000)], ids=["one", "rows"])
def test_a_step_has_the_moments_of_its_normal(h, rng):
    x = torch.zeros(200_000, 1, dtype=torch.float64)
    diffusion = Diffusion(torch.ones_like(x), torch.full_like(x, 4.0))
    moved = diffusion.step(Euclidean(), x, h, rng)
    assert float(moved.mean()) == pytest.approx(0.25, abs=4 / 200_000**0.5)
    assert float(moved.var()) == pytest.approx(1.0, abs=4 * (2 / 200_000) ** 0.5)


def test_a_clock_that_stands_still_keeps_its_element(rng):
    x = torch.randn(4, 3, generator=rng)
    h = torch.tensor([0.0, 0.1, 0.0, 0.1])
    moved = Diffusion(torch.full_like(x, torch.inf), torch.ones_like(x)).step(
        Euclidean(), x, h, rng
    )
    assert torch.equal(moved[[0, 2]], x[[0, 2]])


def test_elsewhere_than_euclidean_space_is_refused(rng):
    x = torch.ones(1, 1)
    with pytest.raises(ValueError, match="moves on Euclidean space"):
        Diffusion(x, x).step(Sphere(), x, 0.1, rng)
