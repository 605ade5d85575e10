"""`feller sample` on proteins."""

import json
from dataclasses import replace

import numpy as np
import pytest
import structures
import tiny_proteins
from biotite.structure.io.pdb import PDBFile
from terminal import complaint, feller

from feller.core.checkpoint import save_model
from feller.core.discrete.solvers import TOKEN_SOLVERS
from feller.proteins import DOMAIN
from feller.proteins.commands import sample as commands
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.reading import MODELS, SUFFIXES, read_chains
from feller.proteins.structure.writing import write_chains

FAST = ("--steps", 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_proteins.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def motif(tmp_path):
    (file,) = write_chains([structures.chain(20, first=160)], tmp_path / "motif.pdb")
    return file


def sample(model, out, *flags):
    """The chains that `feller sample` writes."""
    code, _, err = feller("sample", model, "--out", out, *FAST, *flags)
    assert (code, err) == (0, "")
    # A trajectory has further models.
    found = [c for c in read_chains(out) if isinstance(c, Chain) or c.kind != MODELS]
    assert all(isinstance(chain, Chain) and np.isfinite(chain.atoms).all() for chain in found)
    return found


def test_structures_and_sequences(model, tmp_path):
    out = tmp_path / "deep" / "a"
    code, said, err = feller("sample", model, "-n", 3, "--length", 6, "--out", out, *FAST)
    assert (code, err) == (0, "")
    first, second = said.splitlines()
    assert first.startswith(f"{out}: 3 chains, 3 network calls each, ")
    assert second.startswith("C-N bonds valid: ")
    assert sorted(file.name for file in out.iterdir()) == [
        "sample_0000.pdb", "sample_0001.pdb", "sample_0002.pdb", "samples.fasta",
    ]  # fmt: skip
    letters = (out / "samples.fasta").read_text().split("\n")[1::2]
    assert [chain.sequence for chain in read_chains(out)] == letters
    assert all(len(each) == 6 and "X" not in each for each in letters)


@pytest.mark.parametrize("format", ["cif", "bcif"])
def test_formats(format, model, tmp_path):
    found = sample(model, tmp_path / "a", "-n", 2, "--length", 5, "--format", format)
    assert [len(chain) for chain in found] == [5, 5]
    assert (tmp_path / "a" / f"sample_0001.{format}").exists()


@pytest.mark.parametrize("length", [1, 2])
def test_short_chains(length, model, tmp_path):
    found = sample(model, tmp_path / "a", "-n", 2, "--length", length, "--page", "--trajectory")
    assert [len(chain) for chain in found[:2]] == [length, length]


def test_a_long_chain(model, tmp_path):
    (found,) = sample(model, tmp_path / "a", "-n", 1, "--length", 512, "--steps", 2)
    assert len(found) == 512


def test_a_range_of_lengths(model, tmp_path):
    found = sample(model, tmp_path / "a", "-n", 6, "--length", "4-6", "--seed", 1)
    assert {len(chain) for chain in found} == {4, 5, 6}
    few = sample(model, tmp_path / "b", "-n", 3, "--length", "4-6", "--seed", 1)
    assert [c.sequence for c in few] == [c.sequence for c in found[:3]]


def test_backbones_alone(model, tmp_path):
    found = sample(model, tmp_path / "a", "-n", 2, "--length", 5, "--no-sequence")
    assert [chain.sequence for chain in found] == [5 * "X"] * 2
    assert not (tmp_path / "a" / "samples.fasta").exists()


def test_a_model_of_backbones_draws_no_residues(motif, tmp_path):
    made = tiny_proteins.model()
    made.config = replace(made.config, sequence=False)
    name = save_model(made, tmp_path / "backbones", card=tiny_proteins.CARD)
    (found,) = sample(name, tmp_path / "a", "-n", 1, "--length", 5)
    assert found.sequence == 5 * "X" and not (tmp_path / "a" / "samples.fasta").exists()
    fold = ("-n", 1, "--fold", "MKVLAA", *FAST)
    code, _, warning = feller("sample", name, "--out", tmp_path / "b", *fold)
    assert code == 0 and "it may not heed those of --fold" in warning
    (folded,) = read_chains(tmp_path / "b")
    assert folded.sequence == "MKVLAA" and (tmp_path / "b" / "samples.fasta").exists()
    said = complaint("sample", name, "--inverse-fold", motif, "--out", tmp_path / "c")
    assert "was trained without residues" in said


def test_folding(model, tmp_path):
    found = sample(model, tmp_path / "a", "-n", 2, "--fold", "MKVLAA")
    assert [chain.sequence for chain in found] == ["MKVLAA"] * 2


def test_inverse_folding(model, motif, tmp_path):
    known, (found,) = (
        next(read_chains(motif)),
        sample(model, tmp_path / "a", "-n", 1, "--inverse-fold", motif),
    )
    shift = known.atoms[:, 1].mean(0) - found.atoms[:, 1].mean(0)
    away = np.abs(known.atoms[:, 1] - found.atoms[:, 1] - shift)
    assert away.max() < 0.05  # of residues of ideal shape
    assert "X" not in found.sequence


def test_inverse_folding_keeps_residues_that_are_named(model, motif, tmp_path):
    known, flags = next(read_chains(motif)).sequence, ("-n", 2, "--inverse-fold", motif)
    for found in sample(model, tmp_path / "a", *flags, "--keep", "A160-175,A179"):
        assert found.sequence[:16] == known[:16] and found.sequence[19] == known[19]
    for wrong, reason in (
        ("A40-41", "no backbone has residue 40 of chain A"),
        ("7", "names residues of"),
    ):
        assert reason in complaint(
            "sample", model, *flags, "--keep", wrong, "--out", tmp_path / "b"
        )
    asked = ("--keep", "A1", "--out", tmp_path / "c")
    assert "--keep is for --inverse-fold" in complaint("sample", model, *asked)


@pytest.mark.parametrize("solver", ["events", "remask", "corrected"])
def test_a_solver_of_sequences(solver, model, motif, tmp_path):
    flags = ("--sequence-solver", solver, "-n", 1, "--trajectory")
    (drawn, *steps) = sample(model, tmp_path / "a", "--length", 5, *flags)
    assert "X" not in drawn.sequence and steps[-1].sequence == drawn.sequence
    (folded, *_) = sample(model, tmp_path / "b", "--fold", "MKVLAA", *flags)
    assert folded.sequence == "MKVLAA"
    (threaded, *_) = sample(model, tmp_path / "c", "--inverse-fold", motif, *flags)
    assert len(threaded) == 20 and "X" not in threaded.sequence
    (built, *_) = sample(
        model, tmp_path / "d", "--contigs", "3,A163-168,3", "--motif", motif, *flags
    )
    assert built.sequence[3:9] == next(read_chains(motif)).sequence[3:9]


def test_a_scaffold(model, motif, tmp_path):
    flags = ("--contigs", "1-6,A163-168,1-6", "--motif", motif, "--length", 12)
    known = next(read_chains(motif))
    kept, apart = known.sequence[3:9], np.linalg.norm(known.atoms[3, 1] - known.atoms[8, 1])
    for chain in sample(model, tmp_path / "a", "-n", 3, *flags):
        at = chain.sequence.find(kept)
        assert len(chain) == 12 and 1 <= at <= 5
        ends = np.linalg.norm(chain.atoms[at, 1] - chain.atoms[at + 5, 1])
        assert ends == pytest.approx(apart, abs=0.05)  # of residues of ideal shape


@pytest.mark.parametrize("format", ["pdb", "cif"])
def test_a_scaffold_says_where_its_motif_went(format, model, motif, tmp_path):
    contigs = "[1-6/A163-165/1-6/A170-171/2]"
    flags = ("--contigs", contigs, "--motif", motif, "--format", format)
    known = next(read_chains(motif))
    for chain in sample(model, tmp_path / "a", "-n", 4, *flags):
        name = chain.name
        rows = (tmp_path / "a" / f"{name}.motif.csv").read_text().splitlines()
        assert rows[0] == "motif_chain,motif_residue,design_chain,design_residue,residue"
        assert [row.split(",")[:3] for row in rows[1:]] == [
            ["A", str(number), "A"] for number in (163, 164, 165, 170, 171)
        ]
        places = [int(row.split(",")[3]) for row in rows[1:]]
        assert len(chain) == places[-1] + 2 and np.diff(places).tolist()[:2] == [1, 1]
        for number, place, row in zip((163, 164, 165, 170, 171), places, rows[1:], strict=True):
            assert chain.sequence[place - 1] == known.sequence[number - 160] == row[-1]
        shift = chain.atoms[places[0] - 1, :3] - known.atoms[3, :3]
        at, was = [place - 1 for place in places], [3, 4, 5, 10, 11]
        assert np.abs(chain.atoms[at, :3] - known.atoms[was, :3] - shift.mean(0)).max() < 0.01
        if format == "pdb":
            file = PDBFile.read(str(tmp_path / "a" / f"{name}.pdb"))
            atoms = file.get_structure(model=1, extra_fields=["b_factor"])
            assert {int(k) for k in atoms.res_id[atoms.b_factor == 1]} == set(places)
            assert set(atoms.b_factor.tolist()) == {0.0, 1.0}


def test_trajectories_and_a_page(model, tmp_path):
    out = tmp_path / "a"
    flags = ("-n", 2, "--length", 5, "--page", "--trajectory", "--out", out)
    code, said, _ = feller("sample", model, *flags, *FAST)
    assert code == 0
    assert said.endswith(f"open {out / 'samples.html'}\n")
    for name in ("sample_0000.pdb", "sample_0001.pdb"):
        steps = PDBFile.read(str(out / "trajectories" / name)).get_structure()
        last = PDBFile.read(str(out / name)).get_structure(model=1)
        assert steps.stack_depth() == 4
        assert np.array_equal(steps[-1].coord, last.coord)
        assert not np.allclose(steps[0].coord, last.coord)
    assert feller("sample", model, *flags, *FAST).code == 0  # written anew


def test_json(model, tmp_path):
    flags = ("-n", 2, "--length", 5, "--out", tmp_path / "a", "--seed", 7, "--json", "--jump", 0.5)
    found = json.loads(feller("sample", model, *flags, *FAST).out)
    assert found.pop("seconds") >= 0
    assert 0 <= found.pop("C-N bonds") <= 1
    assert found.pop("clashes") >= 0
    assert found == {"out": str(tmp_path / "a"), "n": 2, "nfe": 3, "seed": 7}


def test_a_length_beyond_training_is_reported(model, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "trained_length", lambda name: 5)
    code, _, err = feller("sample", model, "-n", 1, "--length", 6, "--out", tmp_path / "a", *FAST)
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("warning: 6 residues, and the model was trained on at most 5")


def test_what_is_finished_stays(model, tmp_path, monkeypatch):
    whole = commands.drawn

    def interrupted(*given):
        for count, made in enumerate(whole(*given)):
            if count == 2:
                raise KeyboardInterrupt
            yield made

    monkeypatch.setattr(commands, "drawn", interrupted)
    flags = ("-n", 4, "--length", 5, "--batch-size", 1, "--out", tmp_path / "a")
    assert feller("sample", model, *flags, *FAST).code == 130
    assert len(list(read_chains(tmp_path / "a"))) == 2
    assert (tmp_path / "a" / "samples.fasta").read_text().count(">") == 2


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("-n", 0), "-n is at least 1, not 0"),
        (("-n", -1), "-n is at least 1, not -1"),
        (("--length", "0"), "--length is at least 1, not 0"),
        (("--length", "long"), "--length is a number, 80, or a range, 60-100, not 'long'"),
        (("--steps", 0), "steps is at least 1, not 0"),
        (("--flow", 0.7, "--jump", 0.7), "sum to 1"),
        (("--fold", "MKVZ"), "letter 4 of the sequence, 'Z', is none of"),
        (("--fold", "MKV", "--contigs", "5"), "--fold and --contigs are different tasks"),
        (("--contigs", "5-"), "the contig '5-' is neither a length"),
        (("--motif", "x.pdb"), "--motif needs --contigs"),
        (("--inverse-fold", "x.pdb"), "x.pdb has no chain that can be read: x.pdb: no such file"),
        (("--inverse-fold", "x.pdb", "--no-sequence"), "it excludes --no-sequence"),
        (("--sequence-solver", "events", "--no-sequence"), "it excludes --no-sequence"),
        (
            ("--sequence-solver", "gibbs"),
            "unknown solver 'gibbs'; there are leap, ancestral, events",
        ),
        (("--out", "a.pdb"), "--out is a folder, not a.pdb; --format says the format"),
        (("--device", "abacus"), "no device 'abacus' here"),
    ],
)
def test_what_makes_no_sense_is_refused(flags, reason, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reason in complaint("sample", model, *flags)
    assert not list(tmp_path.iterdir())


def spoilt(kind):
    """A motif that is not whole."""
    chain = structures.chain(20, first=160)
    if kind == "atoms":
        chain.atoms[5, 2] = np.nan
    elif kind == "break":
        chain.atoms[6:] += 9
    elif kind == "residue":
        chain.residues[5] = 20
    return chain


@pytest.mark.parametrize(
    ("kind", "contigs", "reason"),
    [
        ("atoms", "5,A163-168", "residue 165 of motif lacks C"),
        ("residue", "5,A163-168", "residue 165 of motif is none of the canonical 20"),
        ("break", "5,A163-168", "motif is broken after residue 165"),
        ("", "5,A175-185", "motif has no residue 180"),
        ("", "5,A163,B4", "contig B4-4: there is no chain B; there are: A"),
        ("", "5,A168-163", "the contig A168-163 ends before it begins"),
    ],
)
def test_a_motif_that_cannot_be_kept(kind, contigs, reason, model, tmp_path):
    (file,) = write_chains([spoilt(kind)], tmp_path / "motif.pdb")
    flags = ("--contigs", contigs, "--motif", file, "--out", tmp_path / "a")
    assert reason in complaint("sample", model, *flags)
    assert not (tmp_path / "a").exists()


def test_the_folders_of_others_are_left_alone(model, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert complaint("sample", model, "--out", tmp_path) == (
        f"feller sample: {tmp_path} holds thesis.tex already: choose another --out"
    )


def test_the_flags_are_explained(model):
    code, out, _ = feller("sample", model, "--help")
    assert code == 0
    assert all(flag in out for flag in ("--inverse-fold", "--contigs", "--trajectory", "-n"))
    assert all(solver in out for solver in TOKEN_SOLVERS)


def test_what_is_read_is_what_is_measured():
    assert DOMAIN.measures == (*SUFFIXES, ".zip")
