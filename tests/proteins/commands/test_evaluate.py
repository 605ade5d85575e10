"""`feller evaluate` on structures, and on models of them."""

import json
import zipfile

import folds
import pytest
import structures
import tiny_proteins
from PIL import Image
from terminal import complaint, feller

from feller.proteins.commands import evaluate as measuring
from feller.proteins.metrics import report as reports
from feller.proteins.structure.writing import write_chains


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_proteins.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """A folder of six chains of 30 to 40 residues."""
    folder = tmp_path_factory.mktemp("native")
    write_chains([folds.mixed(30 + 2 * k, seed=k) for k in range(6)], folder)
    return folder


@pytest.fixture
def helices(tmp_path):
    """A folder of two helices."""
    folder = tmp_path / "helices"
    write_chains([structures.chain(30, name=name, seed=k) for k, name in enumerate("ab")], folder)
    return folder


def test_a_folder_beside_a_reference(helices, native):
    flags = ("--reference", native, "--json")
    code, out, err = feller("evaluate", helices, *flags)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["name"] == str(helices)
    assert found["chains"]["chains"] == 2
    assert found["reference"]["of"] == 6
    assert found["passed over"] == []
    assert found["figures"]["helix"]["value"] > found["figures"]["helix"]["reference"]["value"]
    assert "Ramachandran JS" in found["divergences"]
    assert found["skipped"]["pairwise TM"]


def test_a_table(helices, native):
    code, out, _ = feller("evaluate", helices, "--reference", native)
    assert code == 0
    header, *rows = out.splitlines()
    assert header == (
        f"{helices}: 2 chains of 30 to 30 residues; reference: 6 chains of 30 to 40 residues"
    )
    (clashes,) = (row for row in rows if row.startswith("clashes"))
    assert "per residue, reference" in clashes
    assert rows[-1].startswith("ProteinMPNN")


def test_a_file_and_an_archive(helices, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(helices / "a.pdb", "a.pdb")
    for path in (helices / "a.pdb", tmp_path / "a.zip"):
        found = json.loads(feller("evaluate", path, "--json").out)
        assert found["chains"]["chains"] == 1
        assert found["reference"] is None


def test_what_is_no_structure_is_listed(helices):
    (helices / "bad.pdb").write_text("")
    code, out, err = feller("evaluate", helices)
    assert code == 0
    assert "2 chains" in out
    assert err.startswith("skipped bad: ")
    (passed,) = json.loads(feller("evaluate", helices, "--json").out)["passed over"]
    assert passed["name"] == "bad"


def test_lengths_and_fitness_choose(helices, native):
    found = json.loads(feller("evaluate", native, "--length", "30-34", "--json").out)
    assert found["chains"]["lengths"] == {"shortest": 30, "median": 32, "longest": 34}
    code, _, err = feller("evaluate", native, "--reference", native, "--fit")
    assert code == 2
    assert "leaves no chain" in err and "5 too short" in err


def test_pictures(helices, native, tmp_path):
    flags = ("--reference", native, "--plots", tmp_path / "plots", "--json")
    assert feller("evaluate", helices, *flags).code == 0
    pictures = sorted((tmp_path / "plots").iterdir())
    assert [file.stem for file in pictures] == [
        "bond-lengths", "composition", "radius-by-length", "ramachandran",
    ]  # fmt: skip
    for file in pictures:
        with Image.open(file) as picture:
            assert picture.width > 300


def test_chains_are_aligned_where_asked(helices, monkeypatch):
    found = json.loads(feller("evaluate", helices, "--tm", "--tm-chains", 2, "--json").out)
    assert 0 < found["figures"]["pairwise TM"]["value"] <= 1
    assert found["settings"]["tm"] == 2
    monkeypatch.setattr(reports, "has_proteinmpnn", lambda: False)
    found = json.loads(feller("evaluate", helices, "--proteinmpnn", 1, "--json").out)
    assert "ProteinMPNN" in found["skipped"]


def test_samples_of_a_model(model, native):
    flags = ("-n", 3, "--length", "8-12", "--steps", 2, "--reference", native, "--json")
    code, out, err = feller("evaluate", model, *flags)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["chains"]["chains"] == 3
    assert (
        8 <= found["chains"]["lengths"]["shortest"] <= found["chains"]["lengths"]["longest"] <= 12
    )
    assert found["passed over"] == []


def test_what_cannot_be_measured(model, helices, tmp_path):
    def reason(*flags):
        return complaint("evaluate", *flags)

    empty = tmp_path / "empty"
    empty.mkdir()
    assert "it is neither a model nor a finished run" in reason(empty)
    (empty / "a.pdb").write_text("")
    assert f"{empty} has no chain that can be read: a: " in reason(empty)
    assert "empty has no chain that can be read" in reason(helices, "--reference", empty)
    assert "none has no chain that can be read: none: no such file or folder" in reason(
        model, "--reference", tmp_path / "none"
    )
    assert "has no chain of 5-6 residues" in reason(helices, "--length", "5-6")
    assert "--max-reference is at least 2, not 1" in reason(helices, "--max-reference", 1)
    assert "-n is at least 1, not 0" in reason(model, "-n", 0)
    assert "--seed is at least 0, not -3" in reason(helices, "--seed=-3")


def test_a_wrong_folder_for_pictures_is_reported_before_anything_is_drawn(
    model, tmp_path, monkeypatch
):
    monkeypatch.setattr(measuring, "drawn", None)
    (tmp_path / "plots").write_text("")
    assert "File exists" in complaint("evaluate", model, "--plots", tmp_path / "plots")


def test_a_file_of_structures_has_flags_of_its_own(helices):
    assert "unrecognized" in feller("evaluate", helices, "--steps", 3).err.lower()
