"""Cells: they cover what is drawn, as finely as the narrowest part asks, and nothing between."""

import torch

from feller.core.verify.cells import CELLS, cells_of

POINTS = torch.tensor([[-1.0], [2.0]], dtype=torch.float64)


def drawn(width):
    return lambda z, rng: z + width * torch.randn(z.shape, generator=rng, dtype=torch.float64)


def test_narrow_parts_that_lie_apart_are_summed_apart():
    x, size = cells_of(drawn(1e-3), POINTS, None)
    assert len(x) == len(size) <= 2.5 * CELLS
    assert ((x - POINTS.T).abs().amin(1) < 0.02).all()
    assert size.max() < 1e-5


def test_parts_that_overlap_are_one():
    x, size = cells_of(drawn(1.0), POINTS, None)
    assert torch.allclose(x.diff(dim=0)[:, 0], size[1:])
    assert x.min() < -8
    assert x.max() > 9


def test_ends_are_kept():
    x, size = cells_of(drawn(1.0), POINTS, (-1.0, 1.0))
    assert (x.abs() < 1).all()
    assert torch.isclose(size.sum(), torch.tensor(2.0).double())
    assert x.shape == (CELLS, 1)
