"""Plans: what is looked at, the random times, and what is refused."""

import math

import pytest

from feller.core.verify import Plan
from feller.core.verify.plan import fresh_seed


def test_times_are_drawn_by_the_seed_one_in_each_share():
    first, again, other = (Plan(moments=4, seed=s).chosen_times for s in (0, 0, 1))
    assert first == again != other
    assert [int((t - 0.02) / 0.24) for t in first] == [0, 1, 2, 3]
    assert Plan(times=(0.3,)).chosen_times == (0.3,)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"times lie between 0.0001 and 0.9999, not \(0.5, 1.0\)"):
        Plan(times=(0.5, 1.0))
    with pytest.raises(ValueError, match="at least 2 samples are drawn, not 1"):
        Plan(samples=1)
    for name in ("moments", "directions"):
        with pytest.raises(ValueError, match=f"{name} is at least 1, not 0"):
            Plan(**{name: 0})
    for name in ("errors", "tolerance"):
        for value in (math.nan, math.inf, -1.0):
            with pytest.raises(ValueError, match=f"{name} is a finite number >= 0, not {value}"):
                Plan(**{name: value})


def test_no_two_runs_have_one_seed():
    assert fresh_seed() != fresh_seed()
