"""The message network: what moves nothing, what is not seen. Parity is in `../importing`."""

import numpy as np
import torch
from folds import regular

from feller.proteins.networks.message_passing import MessageNetworkConfig


def encoded(n=20, valid=None, move=None, index=None):
    torch.manual_seed(0)
    network = MessageNetworkConfig(dim=16, depth=2, decoder_depth=2, neighbours=6).build().eval()
    rng = np.random.default_rng(0)
    atoms = torch.from_numpy(regular(n).atoms + 0.3 * rng.normal(size=(n, 4, 3))).float()
    valid = torch.ones(n, dtype=torch.bool) if valid is None else valid
    atoms = atoms if move is None else move(atoms)
    return network, network.encode(atoms, torch.arange(n) if index is None else index, valid)


def none_seen(n=20):
    return torch.zeros(1, n, n, dtype=torch.bool)


@torch.no_grad()
def test_a_rotation_and_a_shift_change_nothing():
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1))).Q
    turn = turn * turn.det()
    network, there = encoded()
    _, moved = encoded(move=lambda atoms: atoms @ turn + 5.0)
    x = torch.zeros(1, 20, dtype=torch.long)
    one, other = (network(e, x, none_seen()) for e in (there, moved))
    assert torch.allclose(one, other, atol=1e-4)
    _, mirrored = encoded(move=lambda atoms: atoms * torch.tensor([1.0, 1.0, -1.0]))
    assert not torch.allclose(one, network(mirrored, x, none_seen()), atol=1e-3)


@torch.no_grad()
def test_only_what_is_seen_counts(rng):
    network, there = encoded()
    x = torch.randint(20, (1, 20), generator=rng)
    sees = torch.rand(1, 20, 20, generator=rng) < 0.3
    sees[0, :, 3] = False
    changed = x.clone()
    changed[0, 3] = (x[0, 3] + 1) % 20
    one, other = network(there, x, sees), network(there, changed, sees)
    assert torch.equal(one, other)
    sees[0, :, 3] = True
    assert not torch.equal(network(there, x, sees), network(there, changed, sees))


@torch.no_grad()
def test_where_residues_that_are_not_known_lie_counts_nowhere():
    valid = torch.ones(20, dtype=torch.bool)
    valid[4] = False
    far = torch.zeros(20, 1, 1).index_fill(0, torch.tensor([4]), 3.0)
    network, there = encoded(valid=valid)
    _, moved = encoded(valid=valid, move=lambda atoms: atoms + far)
    assert torch.equal(there.nodes[valid], moved.nodes[valid])
    assert not network(there, torch.zeros(1, 20, dtype=torch.long), none_seen())[0].isnan().any()
