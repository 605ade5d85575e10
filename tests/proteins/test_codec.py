import numpy as np
import pytest
import torch

from feller.proteins.codec import ProteinCodec
from feller.proteins.so3.rotations import exp
from feller.proteins.structure.frames import atoms_from_frames


def raw(b=2, n=7):
    rng = torch.Generator().manual_seed(0)
    place, turn = torch.randn(b, n, 3, generator=rng), torch.randn(b, n, 3, generator=rng)
    return {
        "atoms": atoms_from_frames(place + 5.0, exp(turn)),
        "residues": torch.randint(21, (b, n), generator=rng),
        "index": torch.arange(b * n).view(b, n),
    }


def test_states_are_centred_and_come_back():
    batch, codec = raw(), ProteinCodec()
    state, index = codec.encode(batch)
    assert state["translation"].mean(1).abs().max() < 1e-5
    assert index.equal(batch["index"]) and state["residue"].equal(batch["residues"])
    for chain, atoms, residues in zip(
        codec.decode(state), batch["atoms"], batch["residues"], strict=True
    ):
        middle = atoms[:, 1].mean(0)
        np.testing.assert_allclose(chain.atoms, (atoms - middle).numpy(), atol=1e-4)
        assert chain.residues.tolist() == residues.tolist()
        assert chain.index.tolist() == list(range(1, 8))


def test_there_is_no_condition_to_drop():
    with pytest.raises(ValueError, match="condition_drop to 0"):
        ProteinCodec().drop(torch.zeros(1), torch.zeros(1, dtype=torch.bool))
