"""Letters by P-SEA; what they mean for chains is tested with the metrics and the filters."""

import numpy as np
import pytest
from folds import HELIX, STRAND, regular

from feller.proteins.structure.psea import psea


@pytest.mark.parametrize(("angles", "letter"), [(HELIX, "H"), (STRAND, "E")])
def test_regular_traces(angles, letter):
    found = psea(regular(20, angles).atoms[:, 1], np.arange(20))
    assert found.shape == (20,) and (found[3:-3] == letter).all()


def test_a_leap_of_numbers_ends_a_helix():
    ca = regular(8).atoms[:, 1]
    assert "H" in psea(ca, np.arange(8))
    assert (psea(ca, np.array([1, 2, 3, 4, 6, 7, 8, 9])) == "C").all()


def test_what_has_no_position_has_no_letter():
    ca = regular(12).atoms[:, 1]
    ca[4] = np.nan
    assert (psea(ca, np.arange(12)) == "-").nonzero()[0].tolist() == [4]
    assert psea(ca[:0], np.arange(0)).shape == (0,)
    assert psea(np.zeros((6, 3)), np.arange(6)).tolist() == ["C"] * 6
