"""The example `molecules`: what it calls stable is, its network is equivariant, and it learns."""

import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

FOLDER = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(FOLDER))
main = pytest.importorskip("molecules.__main__")
from molecules import data, metrics, model  # noqa: E402

sys.path.remove(str(FOLDER))
METHANE = data.Methane().build()
TINY = model.MoleculeConfig(dim=16, pair=8, depth=2, heads=2, sizes=(0, 0, 0, 0, 0, 1))


def molecule(elements, positions):
    return {
        "element": torch.tensor([data.ELEMENTS.index(e) for e in elements]),
        "position": torch.tensor(positions),
    }


def carbon_dioxide(length):
    return molecule("COO", [[0.0, 0, 0], [length, 0, 0], [-length, 0, 0]])


def stable(one):
    return (metrics.bonds(one).sum(1) == metrics.VALENCE[one["element"]]).tolist()


def test_methane_is_stable_and_without_a_hydrogen_its_carbon_is_not():
    whole = {name: value[0] for name, value in METHANE[[0]].items()}
    assert stable(whole) == [True] * 5
    assert stable({name: value[:4] for name, value in whole.items()}) == [False] + [True] * 3
    assert stable({**whole, "position": 1.2 * whole["position"]}) == [False] * 5


def test_bonds_are_read_off_distances():
    """Picometres of C-O: single below 153, double below 125, triple below 116."""
    orders = {1.54: 0, 1.52: 1, 1.26: 1, 1.24: 2, 1.17: 2, 1.15: 3}
    for length, order in orders.items():
        assert metrics.bonds(carbon_dioxide(length))[0].tolist() == [0, order, order]
    assert stable(carbon_dioxide(1.2)) == [True] * 3
    far = molecule("CO", [[0.0, 0, 0], [1.12, 0, 0]])
    assert metrics.bonds(far).tolist() == metrics.bonds(far).T.tolist() == [[0, 3], [3, 0]]


def test_validity_counts_what_rdkit_reads():
    pytest.importorskip("rdkit")
    good, bad = carbon_dioxide(1.2), carbon_dioxide(1.1)  # two triple bonds of one carbon
    assert metrics.smiles(good) == "O=C=O" and metrics.smiles(bad) is None
    found = metrics.figures([good, good, bad, bad])
    values = [round(estimate.value, 3) for estimate in found.values()]
    assert values == [0.5, 0.5, 0.5, 0.5]  # one of two valid ones is different
    assert "EDM 0.82" in metrics.report([good, bad])


@pytest.fixture
def untrained():
    torch.manual_seed(0)
    network = model.Network(TINY).double().requires_grad_(False)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return network


def test_outputs_turn_and_move_and_are_reordered_with_the_state(untrained, rng):
    place = torch.randn(2, 7, 3, generator=rng, dtype=torch.float64)
    element = torch.randint(model.MASK + 1, (2, 7), generator=rng)
    t = {"position": torch.tensor([0.3, 0.9], dtype=torch.float64)}
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=rng, dtype=torch.float64))
    order = torch.randperm(7, generator=rng)
    before = untrained({"position": place, "element": element}, t)
    moved = {"position": (place @ turn + 5)[:, order], "element": element[:, order]}
    after = untrained(moved, t)
    assert_close(after["position"], (before["position"] @ turn)[:, order])
    assert_close(after["element"], before["element"][:, order])
    assert float((before["position"][0] - before["position"][1]).abs().max()) > 0.1
    assert_close(before["position"].mean(1), torch.zeros(2, 3, dtype=torch.float64))


def test_a_batch_is_of_one_size_and_comes_back(rng):
    codec = model.MoleculeCodec()
    raw = METHANE[[0, 1]]
    assert METHANE.groups.tolist() == [5] * 64
    raw["position"] = raw["position"] + torch.randn(2, 1, 3, generator=rng)
    decoded = codec.decode(codec.encode(raw)[0])
    for one, place in zip(decoded, raw["position"], strict=True):
        assert_close(one["position"], place - place.mean(0))


def test_it_learns_methane():
    """Fifteen steps on one molecule take most of what is lost by guessing."""
    torch.manual_seed(0)
    made, recipe, rng = TINY.build(), main.QM9_RECIPE, torch.Generator().manual_seed(0)
    z, _ = made.codec.encode(METHANE[list(range(16))])
    drawn = made.path.sample_source({k: v.shape for k, v in z.items()}, rng, like=z)
    x_0 = recipe.coupling.of_factors(drawn, z)
    t = recipe.times.quantile(torch.rand(16, generator=rng))
    x_t = made.path.sample(z, t, rng, x_0=x_0)
    optimizer, losses = torch.optim.Adam(made.parameters(), lr=1e-2), []
    for _ in range(15):
        loss = recipe.objective(made, made.path, z, t, x_t).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


def test_samples_have_no_mask_and_the_sizes_of_the_data():
    drawn = TINY.build().sample(3, steps=2)
    assert [tuple(one["position"].shape) for one in drawn] == [(5, 3)] * 3
    assert all(int(one["element"].max()) < model.MASK for one in drawn)


def test_qm9_without_its_package_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="uv pip install qm9pack"):
        data.QM9().build()


@pytest.mark.slow
def test_it_trains_and_is_measured_by_command(tmp_path, capsys):
    main.train(str(tmp_path / "run"), steps=20, smoke=True)
    main.evaluate(str(tmp_path / "run"), n=10, steps=5)
    assert "molecule stability" in capsys.readouterr().out
