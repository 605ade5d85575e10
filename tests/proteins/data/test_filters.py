"""Filters: each limit holds, at its own place, with its reason."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from structures import chain

from feller.core.config import decode, encode
from feller.proteins.data.filters import Filters, coil_fraction, compactness
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.reading import Refusal

ALL = Filters(min_length=1, max_length=10**6, max_gyration=100.0, max_coil=1.0)


def wander(n):
    """A walk of CA that turns at random."""
    rng = np.random.default_rng(0)
    one = chain(n)
    steps = rng.standard_normal((n, 3))
    ca = np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=-1, keepdims=True), axis=0)
    one.atoms[:] = ca[:, None]
    return one


def kind(filters, one):
    refusal = filters.refusal(one)
    assert refusal is None or (refusal.name == one.name and "\n" not in refusal.reason)
    return refusal and refusal.kind


def unknown(one, count):
    one.residues[:count] = 20
    return one


def without(one, *places):
    for place in places:
        one.atoms[place] = np.nan
    return one


def apart(one, distance):
    gap = one.atoms[10, 1] - one.atoms[9, 1]
    one.atoms[10:] += (distance / np.linalg.norm(gap) - 1) * gap
    return one


@pytest.mark.parametrize(
    ("limits", "taken", "refused", "expected"),
    [
        ({"min_length": 40}, chain(40), chain(39), "too short"),
        ({"max_length": 40}, chain(40), chain(41), "too long"),
        ({"max_missing": 0.0}, chain(20), without(chain(20), (3, 2)), "missing atoms"),
        (
            {"max_missing": 0.1},
            without(chain(20), (3, 2), (5, 0)),
            without(chain(20), 3, 4, 5),
            "missing atoms",
        ),
        ({"max_step": 4.2}, apart(chain(20), 4.19), apart(chain(20), 4.21), "broken"),
        (
            {"max_resolution": 3.0},
            replace(chain(20), resolution=3.0),
            replace(chain(20), resolution=3.1),
            "resolution",
        ),
        ({"min_known": 0.9}, unknown(chain(20), 2), unknown(chain(20), 3), "unknown residues"),
        ({"max_coil": 0.75}, chain(60), wander(60), "coil"),
    ],
)
def test_limits(limits, taken, refused, expected):
    filters = replace(ALL, **limits)
    assert kind(filters, taken) is None
    assert kind(filters, refused) == expected
    assert kind(replace(ALL, max_missing=1.0, max_step=99.0, min_known=0.0), refused) is None


def test_an_unknown_resolution_passes():
    assert np.isnan(chain(20).resolution)
    assert kind(replace(ALL, max_resolution=0.1), chain(20)) is None


def test_compactness_is_measured_on_ca():
    one = wander(80)
    ca = one.atoms[:, 1].astype(float)
    pairs = ((ca[:, None] - ca) ** 2).sum(-1).mean() / 2
    expected = np.log(np.sqrt(pairs) / (2.60 * 80**0.352))
    assert compactness(one) == pytest.approx(expected, abs=1e-6)
    one.atoms[:, [0, 2, 3]] = np.nan
    assert compactness(one) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("size", "expected"), [(0.29, None), (0.31, "gyration")])
@pytest.mark.parametrize("sign", [1, -1], ids=["elongated", "compact"])
def test_the_radius_of_gyration_is_near_the_usual_one(size, sign, expected):
    one = wander(60)
    one.atoms[:] *= np.exp(sign * size - compactness(one))
    assert kind(replace(ALL, max_gyration=0.3, max_step=99.0, max_missing=1.0), one) == expected


def test_what_has_no_size_is_refused():
    filters = replace(ALL, max_missing=1.0, max_gyration=1e9)
    one = chain(20)
    one.atoms[:] = 1.0
    assert kind(filters, one) == "gyration"
    one.atoms[:] = np.nan
    assert kind(filters, one) == "gyration"


def test_helices_and_strands_are_no_coil():
    assert coil_fraction(chain(60)) < 0.1
    assert coil_fraction(wander(200)) > 0.9
    assert coil_fraction(without(chain(3), slice(None))) == 1.0


def test_a_break_ends_a_helix():
    one = chain(30)
    one.index[15:] += 5
    whole, cut = coil_fraction(chain(30)), coil_fraction(one)
    moved = without(chain(30), 15)
    assert cut > whole
    assert coil_fraction(moved) > whole


def test_sifting_replaces_and_counts():
    counts = Counter()
    found = [chain(60, name="a"), Refusal("b", "empty"), chain(10, name="c"), chain(12, name="d")]
    result = list(replace(ALL, min_length=20).sift(found, counts))
    assert isinstance(result[0], Chain)
    assert [r.name for r in result] == ["a", "b", "c", "d"]
    assert result[1] is found[1]
    assert result[2].reason == "10 residues, fewer than 20"
    assert counts == {"taken": 1, "unreadable": 1, "too short": 2}


def test_filters_survive_json():
    filters = Filters(max_coil=0.5, min_length=60)
    assert decode(encode(filters)) == filters
    assert decode(encode(ALL)) == ALL


@pytest.mark.parametrize("limits", [{"min_length": 0}, {"min_length": 60, "max_length": 50}])
def test_senseless_lengths_are_refused(limits):
    with pytest.raises(ValueError, match="min_length"):
        Filters(**limits)


def test_a_frame_without_bonds_is_refused():
    one = chain(20)
    one.atoms[7, 0] += 5.0
    assert kind(ALL, one) == "no bonds"
    assert kind(replace(ALL, max_missing=0.05), one) is None
