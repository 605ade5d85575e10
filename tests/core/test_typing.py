"""The rng of rows that hold different numbers of draws."""

import torch

from feller.core import random
from feller.core.typing import Ragged


def test_each_row_draws_its_number_from_its_own_generator():
    chosen = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    rng = random.ragged(random.rows(7, 0, 3), chosen)
    assert isinstance(rng, Ragged)
    assert list(rng.counts) == [2, 0, 3]
    drawn = random.uniform((5, 2), rng)
    alone = [random.uniform((n, 2), random.rows(7, row, row + 1)[0]) for row, n in ((0, 2), (2, 3))]
    assert drawn.equal(torch.cat(alone))


def test_one_generator_serves_all():
    rng = torch.Generator()
    assert random.ragged(rng, torch.ones(2, 3)) is rng
    assert random.ragged(None, torch.ones(2, 3)) is None
