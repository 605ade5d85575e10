import pytest
import torch

from feller.core import random
from feller.core.times import Uniform
from feller.proteins.clocks import FrameTimes

JOBS = ("together", "apart", "structure", "fold", "inverse")


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


def test_clocks_apart_are_independent_and_follow_the_law():
    t, _ = draw(apart=1.0)
    clocks = torch.stack(list(t.values()))
    assert clocks.corrcoef().triu(1).abs().max() < 0.05
    torch.testing.assert_close(clocks.mean(1), torch.full((3,), 0.5), rtol=0, atol=0.02)


def test_jobs_come_by_their_shares():
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


def test_shares_that_are_none_are_refused():
    with pytest.raises(ValueError, match="sum to 1"):
        FrameTimes(together=0.9)
