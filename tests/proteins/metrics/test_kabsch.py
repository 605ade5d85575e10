"""Superposition against scipy's, mirrors, and the nearest of a pool."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from feller.proteins.metrics.kabsch import kabsch, nearest_rmsd, rmsd

RNG = np.random.default_rng(0)


def test_rotations_are_those_of_scipy():
    a, b = RNG.standard_normal((2, 50, 9, 3))
    rotation, shift = kabsch(a, b)
    for i in range(50):
        x, y = a[i] - a[i].mean(0), b[i] - b[i].mean(0)
        expected, far = Rotation.align_vectors(x, y)
        assert rotation[i] == pytest.approx(expected.as_matrix(), abs=1e-7)
        assert rmsd(a, b)[i] == pytest.approx(far / 3)
    assert b.mean(1)[:, None] @ np.swapaxes(rotation, 1, 2) + shift[:, None] == pytest.approx(
        a.mean(1)[:, None]
    )


def test_weights_are_those_of_scipy():
    a, b = RNG.standard_normal((2, 9, 3))
    weights = RNG.uniform(0.1, 2, 9)
    rotation, _ = kabsch(a, b, weights)
    x, y = (p - np.average(p, axis=0, weights=weights) for p in (a, b))
    assert rotation == pytest.approx(Rotation.align_vectors(x, y, weights)[0].as_matrix())
    some = weights * (np.arange(9) < 5)
    assert kabsch(a, b, some)[0] == pytest.approx(kabsch(a[:5], b[:5], weights[:5])[0])


def test_a_moved_copy_is_at_0_and_a_mirror_is_not():
    a = RNG.standard_normal((20, 9, 3))
    turn = Rotation.random(20, rng=1).as_matrix()
    assert rmsd(a @ np.swapaxes(turn, 1, 2) + 7, a) == pytest.approx(0, abs=1e-7)
    mirror = a * np.array([1, 1, -1])
    assert rmsd(mirror, a).min() > 0.1
    assert np.linalg.det(kabsch(mirror, a)[0]) == pytest.approx(1)


def test_points_in_a_plane_or_a_line_superpose():
    for kept in (1, 2):
        a = RNG.standard_normal((9, 3)) * (np.arange(3) < kept)
        turned = a @ Rotation.random(rng=2).as_matrix().T
        assert rmsd(turned, a) == pytest.approx(0, abs=1e-6)
        assert np.isfinite(nearest_rmsd(turned[None], a[None])).all()


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_the_nearest_is_the_nearest(scale):
    points, pool = scale * RNG.standard_normal((33, 9, 3)), scale * RNG.standard_normal((80, 9, 3))
    every = rmsd(np.repeat(points[:, None], 80, 1), np.repeat(pool[None], 33, 0))
    assert nearest_rmsd(points + 5, pool) == pytest.approx(every.min(1), rel=1e-3)
    assert nearest_rmsd(pool[:40], pool) == pytest.approx(0, abs=1e-6 * scale)


def test_a_mirror_is_not_its_nearest():
    pool = RNG.standard_normal((30, 9, 3))
    mirrors = pool * np.array([1, 1, -1])
    every = rmsd(np.repeat(mirrors[:, None], 30, 1), np.repeat(pool[None], 30, 0))
    assert nearest_rmsd(mirrors, pool) == pytest.approx(every.min(1), rel=1e-3)


def test_empty_sets():
    assert nearest_rmsd(np.zeros((0, 9, 3)), np.zeros((3, 9, 3))).shape == (0,)
    with pytest.raises(ValueError, match="empty pool"):
        nearest_rmsd(np.zeros((3, 9, 3)), np.zeros((0, 9, 3)))
