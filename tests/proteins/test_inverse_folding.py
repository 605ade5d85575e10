"""A model of sequences on a backbone: a chain of masks with an exact likelihood."""

import numpy as np
import pytest
import torch
from folds import chain_of, regular

from feller.core import load_model, save_model
from feller.core.likelihood import elbo
from feller.proteins.inverse_folding import InverseFoldingConfig
from feller.proteins.networks.message_passing import MessageNetworkConfig

MASK = 21


def made():
    torch.manual_seed(0)
    config = MessageNetworkConfig(dim=16, depth=1, decoder_depth=2, neighbours=4)
    model = InverseFoldingConfig(network=config).build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model


def chain(n=5, seed=0):
    draw = np.random.default_rng(seed)
    atoms = regular(n).atoms + draw.normal(size=(n, 4, 3))
    return chain_of(atoms, residues=draw.integers(20, size=n))


@torch.no_grad()
def test_the_likelihood_is_the_product_of_what_the_chain_reveals(rng):
    """Revealed in their order, each residue has the probability that one pass says."""
    model, one = made(), chain()
    order = torch.randperm(5, generator=rng)
    at_once = model.log_probs(one, order)
    given, x = model.given(one, order), torch.full((1, 5), MASK)
    residues = torch.from_numpy(one.residues.astype(np.int64))
    for i in order.tolist():
        now = given.logits(x, torch.zeros(1))[0, i].log_softmax(-1)
        assert torch.allclose(now, at_once[i], atol=1e-5)
        x[0, i] = residues[i]


@torch.no_grad()
def test_the_core_s_evidence_bound_takes_it(rng):
    model, one = made(), chain()
    residues = torch.from_numpy(one.residues.astype(np.int64))[None]
    bound = float(elbo(model.given(one), residues, rng, draws=200).nats)
    orders = [torch.randperm(5, generator=rng) for _ in range(50)]
    exact = [float(model.log_probs(one, o)[range(5), residues[0]].sum()) for o in orders]
    assert bound == pytest.approx(np.mean(exact), abs=1.0)


def test_samples_repeat_and_keep_what_is_not_known(tmp_path):
    model, one = made(), chain(12)
    one.atoms[3, 1] = np.nan
    drawn = model.sample(one, 2, keep=(0,), seed=3)
    save_model(model, tmp_path / "m")
    assert load_model(tmp_path / "m").sample(one, 3, keep=(0,), seed=3)[:2] == drawn
    assert all(s[0] == one.sequence[0] and s[3] == one.sequence[3] for s in drawn)
    assert model.sample(one, 0) == []
    with pytest.raises(ValueError, match="n"):
        model.sample(one, -1)
    for outside in (12, -1):
        with pytest.raises(ValueError, match=rf"keep: .* has residues 0 \.\.\. 11, not {outside}"):
            model.sample(one, 1, keep=(0, outside))


@torch.no_grad()
def test_residues_beyond_a_break_do_not_place_an_oxygen():
    model, one = made(), chain_of(regular(12).atoms)
    encode = model.network.encode
    one.atoms[:, 3] = np.nan
    one.atoms[6:] += np.float32([0, 0, 40])
    assert one.breaks.nonzero()[0].tolist() == [5]
    seen = []
    model.network.encode = lambda atoms, *rest: seen.append(atoms) or encode(atoms, *rest)
    model.given(one), model.given(one.only(np.arange(6)))
    assert torch.equal(seen[0][:6], seen[1])
