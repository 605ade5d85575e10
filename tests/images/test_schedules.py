"""A schedule from a table is that table at its times, and smooth between them."""

import pytest
import torch

from feller.core.config import decode, encode
from feller.core.schedules import VariancePreserving
from feller.core.testing import check_schedule
from feller.images.schedules import Tabulated

DDPM = Tabulated.linear()


@pytest.mark.parametrize("schedule", [DDPM, Tabulated.linear(1e-3, 0.4, 37)], ids=repr)
def test_it_keeps_the_contract(schedule):
    check_schedule(schedule)


def test_it_is_the_table_at_its_times():
    k = torch.arange(1000, dtype=torch.float64)
    table = torch.tensor(DDPM.alphas_cumprod, dtype=torch.float64)
    t = 1 - (k + 1) / 1000
    assert torch.allclose(DDPM.alpha(t) ** 2, table, rtol=1e-12)
    assert torch.allclose(DDPM.sigma(t) ** 2, 1 - table, rtol=1e-10)
    known = [0.9999, 0.0785872, 4.03583e-5]  # as diffusers has them, in single precision
    assert [float(table[i]) for i in (0, 499, 999)] == pytest.approx(known, rel=1e-6)


def test_the_continuous_schedule_is_within_five_percent_of_ddpm_at_every_step():
    """And not at k = 999 (1 - t), by which the first step would have 1.41 times the noise."""
    k = torch.arange(1000, dtype=torch.float64)
    table = torch.tensor(DDPM.alphas_cumprod, dtype=torch.float64)
    right = ((1 - table) / table).sqrt()

    def noise(t):
        schedule = VariancePreserving()
        return schedule.sigma(t) / schedule.alpha(t)

    found = noise(1 - (k + 1) / 1000) / right
    assert float((found - 1).abs().max()) < 0.0486
    assert float(noise(1 - k[1:] / 999)[0] / right[1]) < 0.71


def test_it_survives_json_and_is_short_in_words():
    assert decode(encode(DDPM)) == DDPM
    assert repr(DDPM) == "Tabulated(<1000 steps>)"


@pytest.mark.parametrize("table", [(), (1.0, 0.5), (0.5, 0.5), (0.2, 0.4), (0.5, 0.0), (0.5, -1.0)])
def test_what_is_no_table_is_refused(table):
    with pytest.raises(ValueError, match="alphas_cumprod fall from below 1 to above 0"):
        Tabulated(table)
