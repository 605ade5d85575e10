"""The figures of a report by name."""

import json

import pytest
from folds import LENGTHS, STRAND, mixed, regular, wiggly

from feller.proteins.metrics.estimates import Estimate
from feller.proteins.metrics.shape import fit_radius, radii
from feller.proteins.metrics.table import UNITS, chain_tallies, divergences, figure


def test_figures_are_those_of_their_functions():
    chains = [wiggly(30, spread=5), regular(20, STRAND)]
    found = chain_tallies(chains)
    assert found["C-N bonds"].value == found["trans"].value == 1
    assert found["clashes"].value == found["missing atoms"].value == 0
    assert found["radius of gyration"].value == pytest.approx(radii(chains).mean())
    assert found["phi, psi helical"].value == pytest.approx(28 / 46)
    assert found["helix"].value > found["strand"].value > 0.2
    assert "radius over reference" not in found
    short = chain_tallies([regular(9, lengths=LENGTHS | {"C-N": 1.24})])
    assert (short["C-N bonds"].value, short["CA-CA links"].value) == (0, 1)
    assert short["C-N outside native"].value == 1
    law = fit_radius(chains)
    assert chain_tallies(chains, law)["radius over reference"].value == pytest.approx(1)


def test_a_figure_has_its_unit_and_its_reference():
    found = figure("contact order", Estimate(1.0, 0.5, 2.0), Estimate(3.0))
    assert found == {
        "value": 1.0,
        "low": 0.5,
        "high": 2.0,
        "unit": "of the length",
        "reference": {"value": 3.0, "low": None, "high": None},
    }
    assert figure("helix", Estimate(None))["unit"] == "fraction"
    assert "helix" not in UNITS


def test_divergences_tell_helices_from_strands():
    native = [mixed(50, seed) for seed in range(24)]
    same = divergences([mixed(50, seed) for seed in range(50, 60)], native)
    other = divergences([regular(50, STRAND) for _ in range(10)], native)
    assert same.keys() == other.keys()
    assert len(same) == 7
    for name in same:
        assert same[name]["value"] < 2 * same[name]["baseline"]["high"]
        assert other[name]["value"] > other[name]["baseline"]["high"]
        assert other[name]["value"] > same[name]["value"]
    assert same["Ramachandran JS"]["unit"] == "nats"
    assert same["CA distance W1, 20+ apart"]["unit"] == "Angstrom"
    json.dumps(other, allow_nan=False)
