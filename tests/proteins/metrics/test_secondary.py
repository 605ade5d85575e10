"""P-SEA on helices and strands, and whatever else it is given."""

import numpy as np
import pytest
from folds import HELIX, STRAND, backbone, chain_of, mirrored, regular

from feller.proteins.metrics.secondary import secondary_structure, structure_fractions


@pytest.mark.parametrize(("angles", "letter"), [(HELIX, "H"), (STRAND, "E")])
def test_regular_chains(angles, letter):
    (found,) = secondary_structure([regular(30, angles)])
    assert len(found) == 30
    assert found.count(letter) >= 26
    assert set(found) <= {letter, "C"}


def test_a_mirrored_helix_is_one():
    assert secondary_structure([mirrored(regular(30))])[0].count("H") >= 26


def test_parts_are_found_where_they_are():
    phi = [HELIX[0]] * 15 + [60.0, -90.0, 60.0] + [STRAND[0]] * 12
    psi = [HELIX[1]] * 15 + [30.0, 0.0, 30.0] + [STRAND[1]] * 12
    (found,) = secondary_structure([chain_of(backbone(phi, psi))])
    assert found[2:12] == "H" * 10
    assert found[20:28] == "E" * 8
    shares = {
        k: tally.value for k, tally in structure_fractions([chain_of(backbone(phi, psi))]).items()
    }
    assert shares["helix"] == found.count("H") / 30
    assert shares["strand"] == found.count("E") / 30
    assert shares["helix or strand"] == pytest.approx(shares["helix"] + shares["strand"])


def test_breaks_end_a_helix():
    one = regular(8)
    index = [1, 2, 3, 4, 6, 7, 8, 9]
    whole, broken = chain_of(one.atoms, index=index), chain_of(one.atoms.copy(), index=index)
    broken.atoms[4:] += 20  # else the bond outweighs the numbers
    assert "H" in secondary_structure([whole])[0]
    assert secondary_structure([broken]) == ["C" * 8]


def test_chains_do_not_see_each_other_and_numbers_do_not_matter():
    one = chain_of(regular(12).atoms, index=[5] * 12)  # insertions
    two = chain_of(regular(12).atoms, index=np.arange(-3, 9))
    assert secondary_structure([one, two]) == 2 * secondary_structure([regular(12)])


def test_missing_ca_have_no_letter():
    one = regular(20)
    one.atoms[10, 1] = np.nan
    one.atoms[3, 0] = np.nan  # P-SEA looks at CA alone
    (found,) = secondary_structure([one])
    assert found[10] == "-"
    assert found.count("-") == 1
    assert structure_fractions([one])["helix"].trials.tolist() == [19]


def test_short_empty_and_unplaced_chains():
    nothing = chain_of(np.full((7, 4, 3), np.nan))
    found = secondary_structure([regular(1), regular(5), chain_of(np.zeros((0, 4, 3))), nothing])
    assert found == ["C", "CCCCC", "", "-" * 7]
    assert structure_fractions([nothing])["helix"].value is None


def test_points_that_coincide_are_coil():
    assert secondary_structure([chain_of(np.zeros((20, 4, 3)))]) == ["C" * 20]
