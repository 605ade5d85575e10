from dataclasses import replace

import numpy as np
import pytest
import torch

from feller.proteins.design.conditioning import backbone_of, motif_of, sequence_of
from feller.proteins.design.contigs import parse_contigs
from feller.proteins.drawing import draw
from feller.proteins.models import ProteinModelConfig
from feller.proteins.networks import FrameTransformerConfig
from feller.proteins.sampling import Sampling
from feller.proteins.so3.rotations import exp
from feller.proteins.structure.chain import Chain, codes_of
from feller.proteins.structure.frames import atoms_from_frames


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = FrameTransformerConfig(dim=32, pair=8, depth=2, num_heads=2, updates=2)
    model = ProteinModelConfig(network=network, flow=0.5, jump=0.5).build()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return model


def chain(letters="MKVLAAGGST"):
    rng = torch.Generator().manual_seed(0)
    n = len(letters)
    place = 0.38 * torch.arange(n)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    atoms = atoms_from_frames(place, exp(torch.randn(n, 3, generator=rng))).numpy()
    return Chain("x", atoms, codes_of(letters), np.arange(1, n + 1, dtype=np.int32))


def test_folding_keeps_the_sequence(model):
    drawn = model.sample(2, given=sequence_of(chain()), steps=5)
    assert [c.sequence for c in drawn] == ["MKVLAAGGST"] * 2
    assert not np.allclose(drawn[0].atoms, drawn[1].atoms)


def test_unknown_residues_of_a_sequence_are_drawn(model):
    (drawn,) = model.sample(1, given=sequence_of(chain("MKXLA")), steps=3)
    assert drawn.sequence[:2] == "MK" and drawn.sequence[2] != "X"


def test_inverse_folding_keeps_the_backbone_its_place_and_its_numbers(model):
    known = replace(chain(), index=chain().index + 40, letter="B")
    known.atoms[:] += np.random.default_rng(0).normal(30, 0.05, known.atoms.shape)  # not ideal
    for c in model.sample(2, given=backbone_of(known), steps=5):
        assert np.array_equal(c.atoms, known.atoms)
        assert np.array_equal(c.index, known.index)
        assert c.letter == "B"
        assert "X" not in c.sequence


def test_a_broken_backbone_is_refused():
    known = chain()
    known.atoms[5:] += 20
    with pytest.raises(ValueError, match="is broken after residue"):
        backbone_of(known)


def test_an_oxygen_that_is_not_given_is_placed(model):
    known = chain()
    known.atoms[2, 3] = np.nan
    (drawn,) = model.sample(1, given=backbone_of(known), steps=2)
    assert np.linalg.norm(drawn.atoms[2, 3] - drawn.atoms[2, 2]) == pytest.approx(1.231, abs=1e-3)


def test_a_scaffold_keeps_the_atoms_of_its_motif(model):
    known = chain()
    known.atoms[:] += np.random.default_rng(0).normal(0, 0.05, known.atoms.shape)
    contigs = parse_contigs("3,A4-6,2,A8-9,1")
    given = motif_of(contigs, contigs.motif({"A": known}), contigs.lengths(seed=0))
    drawn = model.sample(2, given=given, steps=3)
    offset = known.atoms[3, 1] - drawn[0].atoms[3, 1]
    for c in drawn:
        for here, there in ((slice(3, 6), slice(3, 6)), (slice(8, 10), slice(7, 9))):
            kept, aim = c.atoms[here] + offset, known.atoms[there]
            np.testing.assert_allclose(kept[:, :3], aim[:, :3], rtol=0, atol=1e-5)
            np.testing.assert_allclose(kept[:-1], aim[:-1], rtol=0, atol=1e-5)  # oxygens but one
            carbonyl = np.linalg.norm(kept[-1, 3] - kept[-1, 2])
            assert carbonyl == pytest.approx(1.231, abs=1e-3)  # placed by what follows


def test_a_scaffold_keeps_its_motif_bit_for_bit(model):
    contigs = parse_contigs("3,A4-6,2,A8-9,1")
    parts = contigs.motif({"A": chain()})
    given = motif_of(contigs, parts, contigs.lengths(seed=0))
    assert given.known["translation"].nonzero().flatten().tolist() == [3, 4, 5, 8, 9]
    drawing = draw(model, 2, given, Sampling(steps=6))
    kept = given.known["residue"]
    for name, value in given.state.items():
        assert drawing.state[name][0, kept].equal(value[kept]), name
    assert given.state["translation"][kept].mean(0).abs().max() < 1e-5
    assert not drawing.state["translation"][0, ~kept].equal(drawing.state["translation"][1, ~kept])


def test_a_backbone_without_an_atom_is_refused():
    bad = chain()
    bad.atoms[2, 0] = np.nan
    with pytest.raises(ValueError, match="residue 3 of x lacks one of N, CA and C"):
        backbone_of(bad)


def test_the_network_is_given_what_is_known(model, monkeypatch):
    seen, forward = [], model.network.forward

    def record(x, clocks, index, previous):
        seen.append(clocks)
        return forward(x, clocks, index, previous)

    monkeypatch.setattr(model.network, "forward", record)
    contigs = parse_contigs("2,A4-6,1")
    given = motif_of(contigs, contigs.motif({"A": chain()}), contigs.lengths(seed=0))
    draw(model, 2, given, Sampling(steps=3))
    assert len(seen) == 3
    for clocks in seen:
        for name, known in given.known.items():
            assert (clocks[name][:, known] == 1).all() and (clocks[name][:, ~known] < 1).all()


def test_a_motif_without_an_atom_is_refused():
    contigs, part = parse_contigs("2,A1-10"), chain()
    part.atoms[3, 2] = np.nan
    with pytest.raises(ValueError, match="lacks one of N, CA and C"):
        motif_of(contigs, [part], [2, 10])
