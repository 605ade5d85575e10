"""TM-scores of copies, parts and strangers, by either tool."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from biotite.structure import tm_score as oracle
from folds import chain_of, mirrored, mixed, regular
from scipy.spatial.transform import Rotation

from feller.proteins.metrics import tm
from feller.proteins.metrics.tm import Score, tm_score, tool_of, trace, whole


def moved(one, rows=slice(None)):
    turn = Rotation.random(rng=3).as_matrix()
    return chain_of(one.atoms[rows] @ turn.T + 20)


def test_a_chain_with_itself_is_1():
    one = mixed(70)
    assert tm_score(one, moved(one), "biotite") == pytest.approx((1, 1), abs=1e-4)


def test_a_part_is_all_of_the_part():
    one = mixed(80, 1)
    score = tm_score(one, moved(one, slice(15, 65)), "biotite")
    assert score.second == pytest.approx(1, abs=1e-3)
    assert score.first == pytest.approx(50 / 80, abs=1e-3)
    assert score.mean == pytest.approx((score.first + score.second) / 2)


def test_strangers_and_mirrors_score_low():
    chains = [mixed(70, seed) for seed in range(4)]
    scores = [tm_score(chains[0], other, "biotite").mean for other in chains[1:]]
    scores.append(tm_score(chains[0], mirrored(chains[0]), "biotite").mean)
    assert 0.1 < min(scores) <= max(scores) < 0.5


def test_the_order_of_a_pair_swaps_its_scores():
    one, two = mixed(50, 0), mixed(70, 1)
    first, second = tm_score(one, two, "biotite")
    assert tm_score(two, one, "biotite") == pytest.approx((second, first), abs=0.06)


def test_the_sum_is_biotites():
    a, b = (tm._array(whole(mixed(60, seed))) for seed in (0, 1))
    rows = 3 * np.arange(60) + 1
    square = np.square(a.coord[rows] - b.coord[rows]).sum(-1)
    for length in (20, 60, 100):
        expected = oracle(a, b, rows, rows, length)
        assert tm._score(square, length, 60).first == pytest.approx(expected, rel=1e-5)


def test_gapless_pairs_find_a_shift():
    one = mixed(60, 2)
    a, b = (whole(c)[:, 1] for c in (one, moved(one, slice(20, None))))
    assert tm._gapless(a, b).second == pytest.approx(1, abs=1e-4)
    assert tm._gapless(b, a).first == pytest.approx(1, abs=1e-4)


def test_gapless_pairs_fit_one_half_of_a_hinge():
    a = whole(mixed(80, 2))[:, 1]
    b = a.copy()
    b[60:] = (b[60:] - b[60]) @ Rotation.from_rotvec([0, 0, 2.0]).as_matrix().T + b[60]
    assert tm._gapless(a, b).first > 60 / 80


@pytest.mark.parametrize("n", [0, 1, 4])
def test_short_chains_have_no_score(n):
    short = chain_of(regular(20).atoms[:n])
    assert np.isnan(tm_score(short, regular(20), "biotite")).all()


def test_chains_of_ca_alone_have_scores():
    """They had 0, as if each were of a fold of its own."""
    one, two = mixed(60), mixed(60, 1)
    alone, other = (chain_of(np.where(np.arange(4)[:, None] == 1, c.atoms, np.nan))
                    for c in (moved(one), two))  # fmt: skip
    assert len(trace(alone)) == 60 and len(whole(alone)) == 0
    assert tm_score(alone, one, "biotite") == pytest.approx((1, 1), abs=1e-4)
    assert 0.1 < tm_score(alone, other, "biotite").mean < 0.5


def test_odd_chains_score_without_a_warning():
    rng = np.random.default_rng(0)
    one = regular(20)
    for odd in (np.zeros((20, 4, 3)), 50 * rng.standard_normal((6, 4, 3)), regular(5).atoms):
        first, second = tm_score(chain_of(odd), one, "biotite")
        assert 0 <= first <= 1
        assert 0 <= second <= 1


def test_missing_residues_are_left_out():
    one = mixed(60)
    holed = moved(one)
    holed.atoms[10:14, 1] = np.nan
    holed.atoms[40, 3] = np.nan  # the oxygen is not needed
    assert len(trace(holed)) == len(whole(holed)) == 56
    score = tm_score(one, holed, "biotite")
    assert score.second == pytest.approx(1, abs=1e-3)
    assert score.first == pytest.approx(56 / 60, abs=1e-3)
    holed.atoms[20, 0] = np.nan  # of the chain's length still, though no block is seen there
    assert tm_score(one, holed, "biotite").second == pytest.approx(55 / 56, abs=1e-3)


def test_tmtools_is_used_where_it_is(monkeypatch):
    seen = []

    def tm_align(a, b, first, second):
        seen.append((a, b, first, second))
        return SimpleNamespace(tm_norm_chain1=0.25, tm_norm_chain2=0.75)

    monkeypatch.setitem(sys.modules, "tmtools", SimpleNamespace(tm_align=tm_align))
    monkeypatch.setattr(tm, "find_spec", lambda name: name)
    one, two = regular(20), regular(10)
    assert tool_of() == "tmtools"
    assert tm_score(one, two) == Score(0.25, 0.75)
    ((a, b, first, second),) = seen
    assert np.array_equal(a, one.atoms[:, 1])
    assert a.flags.c_contiguous
    assert (len(b), len(first), len(second)) == (10, 20, 10)


def test_without_tmtools_biotite_is_used(monkeypatch):
    monkeypatch.setattr(tm, "find_spec", lambda name: None)
    assert tool_of() == tool_of("biotite") == "biotite"
    with pytest.raises(ModuleNotFoundError, match="pip install tmtools"):
        tm_score(regular(20), regular(20), "tmtools")


def test_tm_align_is_seldom_much_better():
    pytest.importorskip("tmtools", reason="TM-align is not installed: pip install tmtools")
    chains = [mixed(60, seed) for seed in range(4)]
    pairs = [(a, b) for a in chains for b in chains if a is not b]
    better = [tm_score(a, b, "tmtools").mean - tm_score(a, b, "biotite").mean for a, b in pairs]
    assert -0.02 < np.mean(better) < 0.15
