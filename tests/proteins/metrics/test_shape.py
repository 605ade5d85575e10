"""Shapes against sums over pairs, power laws that are known, and distances in a straight line."""

import math
from dataclasses import replace

import numpy as np
import pytest
from folds import chain_of, mirrored, regular, wiggly
from scipy import stats

from feller.proteins.metrics.divergences import wasserstein
from feller.proteins.metrics.shape import (
    NATIVE_RADIUS,
    SEPARATIONS,
    WIDTH,
    PowerLaw,
    compact,
    contact_order,
    distance_counts,
    fit_radius,
    lengths,
    radii,
    radius_ratio,
)


def points(ca):
    """A chain with these CA."""
    return chain_of(np.repeat(np.asarray(ca, float)[:, None], 4, 1))


def line(n, step=3.8):
    return points(step * np.arange(n)[:, None] * np.array([1.0, 0, 0]))


def ball(n, radius, seed=0):
    """A chain with exactly this radius of gyration."""
    x = np.random.default_rng(seed).standard_normal((n, 3))
    x -= x.mean(0)
    return points(radius * x / math.sqrt(np.square(x).sum(1).mean()))


def test_radii_are_those_of_pairs():
    chains = [wiggly(20, 0), wiggly(33, 1), ball(50, 12.0)]
    for chain, radius in zip(chains, radii(chains), strict=True):
        ca = chain.atoms[:, 1].astype(float)
        pairs = np.square(ca[:, None] - ca[None]).sum(-1).mean() / 2
        assert radius == pytest.approx(math.sqrt(pairs), rel=1e-5)
    assert radii(chains)[2] == pytest.approx(12)


def test_missing_ca_are_no_part_of_a_shape():
    one, nothing = line(5), chain_of(np.full((4, 4, 3), np.nan))
    one.atoms[4, 1] = np.nan
    assert radii([one, nothing, line(4)]) == pytest.approx(
        [radii([line(4)])[0], np.nan, radii([line(4)])[0]], nan_ok=True
    )
    assert lengths([one, nothing]).tolist() == [4, 0]
    for measure in (radius_ratio, compact, contact_order):
        assert measure([nothing]).value is None


def test_a_power_law_comes_back():
    law = PowerLaw(3.0, 0.4)
    chains = [ball(n, 3.0 * n**0.4, seed=n) for n in (40, 60, 90, 150, 250)]
    assert fit_radius(chains) == pytest.approx(law, rel=1e-4)
    assert radius_ratio(chains, law).value == pytest.approx(1, rel=1e-5)
    noisy = [ball(n, 3.0 * n**0.4 * f, seed=n) for n in range(40, 240) for f in (0.8, 1.3)]
    assert fit_radius(noisy).exponent == pytest.approx(0.4, abs=0.02)
    assert radius_ratio(noisy, fit_radius(noisy)).value == pytest.approx(1)


def test_chains_of_one_length_fix_the_scale_alone():
    law = fit_radius([ball(80, 10.0), ball(80, 14.0, 1)])
    assert law.exponent == NATIVE_RADIUS.exponent
    assert law.at(np.array([80.0])) == pytest.approx([12.0])
    with pytest.raises(ValueError, match="no radius to fit"):
        fit_radius([line(1)])


@pytest.mark.parametrize(
    ("factor", "share"), [(1.0, 1), (0.76, 1), (1.33, 1), (0.73, 0), (1.36, 0)]
)
def test_compact_chains_are_within_three_spreads(factor, share):
    assert compact([ball(100, factor * 2.60 * 100**0.352)]).value == share


def test_contact_order_of_a_hairpin():
    """Two antiparallel rows: residue i touches n - 1 - i."""
    up = [(0.0, 3.8 * i, 0.0) for i in range(10)]
    down = [(4.0, 3.8 * i, 0.0) for i in reversed(range(10))]
    pairs = [
        (i, j)
        for i in range(20)
        for j in range(i + 3, 20)
        if math.dist((up + down)[i], (up + down)[j]) < 8
    ]
    expected = sum(j - i for i, j in pairs) / len(pairs) / 20
    assert contact_order([points(up + down)]).value == pytest.approx(expected)
    assert contact_order([line(20)]).value is None
    assert contact_order([regular(20)]).value == pytest.approx(0.2, abs=0.03)  # 3 to 5 of 20


@pytest.mark.parametrize("separation", SEPARATIONS)
def test_distances_in_a_line(separation):
    found = distance_counts([line(25), line(4)], separation)
    apart = int(separation.rstrip("+"))
    reach = range(apart, 25) if separation.endswith("+") else [apart]
    assert found.sum(1).tolist() == [sum(25 - j for j in reach), max(0, 4 - apart)]
    where = {int(3.8 * j / WIDTH + 1e-3) for j in reach}
    assert set(np.flatnonzero(found[0])) <= where | {i - 1 for i in where}


def test_distances_of_distributions_are_those_of_the_points():
    one, two = wiggly(60, 0, spread=30), wiggly(60, 1, spread=60)
    far = [distance_counts([chain], "5").sum(0) for chain in (one, two)]
    raw = [np.linalg.norm(c.atoms[5:, 1] - c.atoms[:-5, 1], axis=-1) for c in (one, two)]
    exact = stats.wasserstein_distance(*raw)
    assert wasserstein(*far, WIDTH) == pytest.approx(exact, abs=WIDTH)
    assert np.array_equal(distance_counts([mirrored(one)], "5").sum(0), far[0])


def test_separations_are_numbers():
    for wrong in ("0", "x", "-3", "+"):
        with pytest.raises(ValueError, match="a separation is a number"):
            distance_counts([line(5)], wrong)


def test_residues_over_a_gap_are_as_far_apart_as_their_numbers_say():
    whole = regular(20)
    kept = np.delete(np.arange(20), slice(8, 13))
    gap = replace(
        whole, atoms=whole.atoms[kept], residues=whole.residues[kept], index=whole.index[kept]
    )
    three = distance_counts([gap], "3")[0]
    pairs = [(i, i + 3) for i in kept if i + 3 in kept]
    assert three.sum() == len(pairs)
    far = [np.linalg.norm(whole.atoms[i, 1] - whole.atoms[j, 1]) for i, j in pairs]
    assert np.flatnonzero(three).max() <= max(far) / WIDTH
