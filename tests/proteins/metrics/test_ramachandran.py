"""Angles fall into the bins and boxes that they belong to."""

import numpy as np
import pytest
from folds import HELIX, STRAND, backbone, chain_of, mirrored, regular, wiggly

from feller.proteins.metrics.ramachandran import counts, regions


def test_residues_of_a_regular_chain_are_in_one_bin():
    found = counts([regular(20, (-57.0, -47.0)), regular(9, (175.0, -175.0))])
    assert found.shape == (2, 36, 36)
    assert found.sum((1, 2)).tolist() == [18, 7]
    assert found[0, 12, 13] == 18  # -60 to -50, -50 to -40
    assert found[1, 35, 0] == 7


def test_every_angle_has_a_bin():
    rng = np.random.default_rng(0)
    phi, psi = rng.uniform(-180, 180, (2, 300))
    found = counts([chain_of(backbone(phi, psi))], bins=6)
    expected, _, _ = np.histogram2d(phi[1:-1], psi[1:-1], 6, [[-180, 180], [-180, 180]])
    assert (found[0] == expected).all()


@pytest.mark.parametrize(("angles", "name"), [(HELIX, "helical"), (STRAND, "extended")])
def test_boxes(angles, name):
    found = {k: tally.value for k, tally in regions([wiggly(40, turns=angles, spread=5)]).items()}
    assert found == {"helical": 0, "extended": 0, "positive": 0} | {name: 1}


def test_mirrors_have_positive_phi():
    assert regions([mirrored(wiggly(40, spread=5))])["positive"].value == 1


def test_residues_without_angles_count_nowhere():
    one = regular(20)
    one.atoms[7] = np.nan
    assert counts([one]).sum() == 15
    assert regions([one])["helical"].trials.tolist() == [15]
    assert counts([regular(2)]).sum() == 0
    assert regions([regular(2)])["helical"].value is None
