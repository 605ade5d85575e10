"""`feller sample` of a model of sequences."""

import numpy as np
import pytest
import structures
import torch
from terminal import complaint, feller

from feller.core import save_model
from feller.proteins.inverse_folding import InverseFoldingConfig
from feller.proteins.networks.message_passing import MessageNetworkConfig
from feller.proteins.structure.writing import write_chains


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    network = MessageNetworkConfig(dim=8, depth=1, decoder_depth=1, neighbours=4)
    folder = tmp_path_factory.mktemp("models") / "sequences"
    return save_model(InverseFoldingConfig(network=network).build(), folder)


def test_sequences_of_each_backbone(model, tmp_path):
    chains = [structures.chain(20, name="a"), structures.chain(12, name="b", seed=1)]
    write_chains(chains, tmp_path / "ab")
    out = tmp_path / "some.fasta"
    code, said, err = feller("sample", model, "--backbones", tmp_path / "ab", "-n", 3,
                             "--temperature", 1, "--out", out)  # fmt: skip
    assert (code, err) == (0, "")
    names, letters = out.read_text().split()[::2], out.read_text().split()[1::2]
    assert [len(s) for s in letters] == [20] * 3 + [12] * 3 and len(set(names)) == 6
    assert f"{out}: 6 sequences of 2 backbones, of which 0." in said


def test_what_it_does_not_do(model, tmp_path):
    write_chains([structures.chain(12)], tmp_path / "a.pdb")
    for command in ("evaluate", "verify"):
        reason = complaint(command, model)
        assert f"feller {command} does not know models of type proteins/inverse_folding" in reason
    (tmp_path / "no").mkdir()
    assert "no" in complaint("sample", model, "--backbones", tmp_path / "no")
    assert "temperature" in complaint(
        "sample", model, "--backbones", tmp_path / "a.pdb", "--temperature", -1
    )


def test_a_backbone_without_oxygens_is_designed(model, tmp_path):
    chain = structures.chain(20, name="a")
    chain.atoms[:, 3] = np.nan
    write_chains([chain], tmp_path / "a.pdb")
    out = tmp_path / "some.fasta"
    code, said, err = feller("sample", model, "--backbones", tmp_path / "a.pdb", "-n", 2,
                             "--temperature", 1, "--out", out)  # fmt: skip
    assert (code, err) == (0, "")
    assert len(set(out.read_text().split()[1::2])) == 2
    assert "of which 0." in said


def test_what_is_not_read_and_what_stays_is_said(model, tmp_path):
    chain = structures.chain(20, name="a")
    chain.atoms[3:5, 1] = np.nan
    write_chains([chain], tmp_path / "ab" / "a.pdb")
    (tmp_path / "ab" / "b.cif").write_text("garbage")
    code, _, err = feller("sample", model, "--backbones", tmp_path / "ab", "-n", 1,
                          "--out", tmp_path / "some.fasta")  # fmt: skip
    assert code == 0
    assert "skipped b: " in err
    assert "2 residues without N, CA or C stay" in err


def test_residues_that_are_named_stay(model, tmp_path):
    a, b = structures.chain(20, name="a", first=5), structures.chain(12, name="b", seed=1)
    structures.write(structures.atom_array({"A": a, "B": b}), tmp_path / "ab.pdb")
    out, flags = tmp_path / "some.fasta", ("--backbones", tmp_path / "ab.pdb", "-n", 2)
    code, _, _ = feller("sample", model, *flags, "--keep", "A5-23,B2", "--temperature", 1,
                           "--out", out)  # fmt: skip
    assert code == 0
    first, second, third, fourth = out.read_text().split()[1::2]
    assert first[:19] == second[:19] == a.sequence[:19]
    assert third[1] == fourth[1] == b.sequence[1]
    assert third != fourth
    for wrong, reason in (("A20-41", "no backbone has residue 25"), ("7", "names residues of")):
        assert reason in complaint("sample", model, *flags, "--keep", wrong, "--out", out)


def test_positions_in_other_units_are_refused(model, tmp_path):
    chain = structures.chain(20, name="a")
    chain.atoms[3, 1] = np.nan  # a residue that is not whole may stay
    chain.atoms[:] /= 10
    write_chains([structures.chain(12), chain], tmp_path / "ab", "cif")
    reason = complaint("sample", model, "--backbones", tmp_path / "ab", "--out", tmp_path / "x")
    assert "residue 1 of a has N, CA and C where no bonds are" in reason
    assert "in Angstrom?" in reason and not (tmp_path / "x").exists()
