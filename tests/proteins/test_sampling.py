"""How proteins are drawn: what is refused before anything is."""

import inspect
import re
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from feller.proteins.sampling import Sampling


def how(options):
    """What `Sampling` says of its fields, without the hook, which checks types in tests alone."""
    fields = SimpleNamespace(**asdict(Sampling()) | options)
    inspect.unwrap(Sampling.__post_init__)(fields)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "at least 1, not 0"),
        ({"flow": 0.7, "jump": 0.7}, "sum to 1"),
        ({"temperature": -1.0}, "temperature is at least 0"),
    ],
)
def test_refusals(values, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**values)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"steps": 2.5}, "steps is a whole number of at least 1, not 2.5"),
        ({"batch_size": None}, "batch_size is a whole number of at least 1, not None"),
        ({"noise": "a"}, "noise is at least 0 and finite, not 'a'"),
        ({"power": "a"}, "power is positive and finite, not 'a'"),
    ],
)
def test_a_slip_is_reported_in_a_line(options, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        how(options)


def test_a_solver_draws_residues():
    with pytest.raises(ValueError, match="draws residues: it excludes sequence=False"):
        Sampling(sequence_solver="events", sequence=False)
    with pytest.raises(ValueError, match="unknown solver 'gibbs'; there are leap, ancestral, ev"):
        Sampling(sequence_solver="gibbs")


def test_weights_that_change_with_time_still_sum_to_one():
    with pytest.raises(ValueError, match="sum to 1"):
        Sampling(flow=lambda t: t, jump=lambda t: t)
