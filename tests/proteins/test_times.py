import pytest
import torch

from feller.core import random
from feller.core.times import Uniform
from feller.proteins.times import FrameTimes

JOBS = ("together", "apart", "structure", "fold", "inverse", "motif")


def draw(n=4000, **shares):
    law = FrameTimes(base=Uniform(), **{**dict.fromkeys(JOBS, 0.0), **shares})
    u = (torch.arange(n) + 0.5) / n
    return law.draw(u, random.rows(0, 0, n), {}), u


def test_each_job_has_its_clocks():
    t, u = draw(structure=1.0)
    assert t["translation"].equal(u) and t["rotation"].equal(u) and not t["residue"].any()
    t, u = draw(fold=1.0)
    assert t["translation"].equal(u) and (t["residue"] == 1).all()
    t, u = draw(inverse=1.0)
    assert t["residue"].equal(u) and (t["translation"] == 1).all() and (t["rotation"] == 1).all()
    t, u = draw(together=1.0)
    assert all(clock.equal(u) for clock in t.values())


def test_clocks_apart_are_independent_and_follow_the_distribution():
    t, _ = draw(apart=1.0)
    clocks = torch.stack(list(t.values()))
    assert clocks.corrcoef().triu(1).abs().max() < 0.05
    torch.testing.assert_close(clocks.mean(1), torch.full((3,), 0.5), rtol=0, atol=0.02)


def test_jobs_come_by_their_probabilities():
    t, u = draw(together=0.5, structure=0.3, inverse=0.2)
    together = (t["residue"] == u) & (t["translation"] == u)
    assert float(together.float().mean()) == pytest.approx(0.5, abs=0.03)
    assert float((t["residue"] == 0).float().mean()) == pytest.approx(0.3, abs=0.03)
    assert float((t["translation"] == 1).float().mean()) == pytest.approx(0.2, abs=0.03)


def test_a_row_does_not_depend_on_the_others():
    law, u = FrameTimes(), torch.tensor([0.3, 0.6, 0.9])
    whole = law.draw(u, random.rows(5, 0, 3), {})
    alone = law.draw(u[1:2], random.rows(5, 1, 2), {})
    assert all(whole[name][1:2].equal(alone[name]) for name in whole)


def test_fractions_that_are_none_are_refused():
    with pytest.raises(ValueError, match="sum to 1"):
        FrameTimes(together=0.9)


def test_motifs_are_two_stretches_of_up_to_a_quarter_that_lie_anywhere():
    n, b = 40, 2000
    law = FrameTimes(base=Uniform(), **{**dict.fromkeys(JOBS, 0.0), "motif": 1.0})
    u = (torch.arange(b) + 0.5) / b
    t = law.draw(u, random.rows(0, 0, b), {"residue": torch.zeros(b, n)})
    known = t["residue"] == 1
    assert all((clock == 1).equal(known) for clock in t.values())
    assert t["translation"].equal(torch.where(known, 1.0, u[:, None]))
    counts, starts = known.sum(1), (known & ~known.roll(1, 1)).sum(1)
    assert counts.min() >= 1 and counts.max() <= 20 and (starts <= 2).all()
    assert {1, 2} <= set(starts.tolist())
    assert known.float().mean(0).min() > 0.05  # the ends, too


def test_motifs_come_by_their_probability_and_leave_something_to_draw():
    law = FrameTimes(together=0.1, apart=0.0, structure=0.0, fold=0.0, inverse=0.3, motif=0.6)
    u, rng = torch.rand(2000), random.rows(0, 0, 2000)
    known = law.draw(u, rng, {"residue": torch.zeros(2000, 2)})["residue"] == 1
    assert float(known.any(1).float().mean()) == pytest.approx(0.6 * 0.5, abs=0.04)
    assert not known.all(1).any()
    assert not (law.draw(u, rng, {"residue": torch.zeros(2000, 1)})["residue"] == 1).any()
