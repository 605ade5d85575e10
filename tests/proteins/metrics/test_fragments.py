"""Runs of CA: where they are, and how near native ones."""

import numpy as np
import pytest
from folds import STRAND, chain_of, mirrored, regular, wiggly

from feller.proteins.metrics.fragments import fragment_rmsd, fragments


def test_runs_are_whole():
    one = chain_of(regular(30).atoms, index=[*range(12), *range(13, 31)])
    one.atoms[12:] += 20  # a bond would outweigh the numbers
    one.atoms[25, 1] = np.nan
    runs, number = fragments([regular(8), one, regular(9)], 100)
    starts = [0, 1, 2, 3, *range(12, 17)]
    assert number.tolist() == [1] * len(starts) + [2]
    assert runs[:-1] == pytest.approx(
        np.stack([one.atoms[i : i + 9, 1] for i in starts]).astype(float)
    )


def test_runs_are_drawn_alike():
    chains = [wiggly(40, seed) for seed in range(5)]
    runs, number = fragments(chains, 50)
    assert runs.shape == (50, 9, 3)
    assert len(np.unique(runs.reshape(50, -1), axis=0)) == 50
    assert np.array_equal(fragments(chains, 50)[0], runs)
    assert not np.array_equal(fragments(chains, 50, seed=1)[0], runs)
    assert set(number) == set(range(5))


def test_copies_are_near_mirrors_and_other_folds_are_not():
    helices = [regular(40)]
    same, mirror, strand = (
        fragment_rmsd([one], helices).value
        for one in (regular(30), mirrored(regular(30)), regular(30, STRAND))
    )
    assert same == pytest.approx(0, abs=1e-3)
    assert mirror > 1
    assert strand > 3


def test_noise_makes_fragments_worse():
    helices = [wiggly(60, seed, spread=5) for seed in range(4)]
    rng = np.random.default_rng(0)
    one = wiggly(60, 9, spread=5)
    noisy = chain_of(one.atoms + 0.5 * rng.standard_normal(one.atoms.shape))
    near, far = (fragment_rmsd([c], helices, drawn=40, pool=150).value for c in (one, noisy))
    assert near < 0.5
    assert near + 0.3 < far < near + 1


def test_the_figure_is_of_all_fragments_whatever_their_chain():
    tally = fragment_rmsd([regular(5), regular(20), regular(30, STRAND)], [regular(40)])
    assert tally.trials.tolist() == [0, 12, 22]
    assert fragment_rmsd([regular(5)], [regular(40)]).value is None
    assert fragment_rmsd([regular(40)], [regular(5)]).value is None
