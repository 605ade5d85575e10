"""Data that are pairs: read a batch at a time, kept in a folder, made by a model."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.losses import Objective
from feller.core.models import GeneratorModel
from feller.core.pair_data import PairData, PairFolder, load_pairs, reflow, save_pairs
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.solvers import Euler, simulate
from feller.core.training.fingerprints import difference, fingerprint

X_0, X_1 = torch.arange(5.0)[:, None], torch.arange(5.0)[:, None] + 10
LABELS = torch.tensor([0, 1, 0, 1, 0])
DATA = PairData(X_0, X_1, LABELS)


def test_rows_stay_together():
    batch = DATA[[3, 1]]
    assert_close(batch.pair.x_1 - batch.pair.x_0, torch.full((2, 1), 10.0))
    assert batch.condition.tolist() == [1, 1]
    assert len(DATA) == 5
    assert PairData(X_0, X_1)[[0]].condition is None


def test_sets_that_do_not_belong_together_are_paired_at_random():
    data = PairData(torch.arange(300.0)[:, None], torch.arange(1000.0)[:, None], paired=False)
    batch, again = data[list(range(1000))], data[list(range(1000))]
    assert torch.equal(batch.pair.x_0, again.pair.x_0)
    assert len(batch.pair.x_0.unique()) > 250
    assert abs(float(torch.corrcoef(torch.cat([batch.pair.x_0, batch.pair.x_1], 1).T)[0, 1])) < 0.15
    with pytest.raises(ValueError, match="paired sets are of one length, not 3 and 5"):
        PairData(X_0[:3], X_1)


@pytest.mark.parametrize("data", [DATA, PairData(X_0, X_1)], ids=["labelled", "plain"])
def test_pairs_are_kept_in_a_folder(data, tmp_path):
    folder = save_pairs(data, tmp_path / "pairs")
    for again in (load_pairs(folder), PairFolder(str(folder)).build("test")):
        assert torch.equal(again.x_0, data.x_0)
        assert torch.equal(again.x_1, data.x_1)
        assert (again.condition is None) == (data.condition is None)
    assert not PairFolder(str(folder), paired=False).build().paired


def test_pairs_replace_pairs_alone(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "raw.csv").write_text("1,2")
    for data in (DATA, PairData(X_0, X_1)):
        again = load_pairs(save_pairs(data, tmp_path / "data"))
        assert (again.condition is None) == (data.condition is None)
    assert (tmp_path / "data" / "raw.csv").read_text() == "1,2"
    with pytest.raises(ValueError, match=r"raw\.csv is a file"):
        save_pairs(DATA, tmp_path / "data" / "raw.csv")


def test_a_folder_without_pairs_is_named_in_one_line(tmp_path):
    (tmp_path / "pairs.safetensors").write_bytes(b"no tensors")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=r"holds no pairs .*: save_pairs") as caught:
            load_pairs(folder)
        assert "\n" not in str(caught.value)


def test_a_model_makes_pairs_of_its_source_samples():
    seen = []

    def draw(x_0, condition):
        seen.append(len(x_0))
        return x_0 + 10 * condition[:, None]

    data = reflow(draw, X_0, condition=LABELS, batch=2)
    assert seen == [2, 2, 1]
    assert_close(data.x_1, X_0 + 10 * LABELS[:, None])
    assert torch.equal(data.x_0, X_0)
    assert torch.equal(data.condition, LABELS)


def test_other_pairs_have_another_fingerprint():
    other = PairData(X_0, X_1 + 1, LABELS)
    assert not difference(fingerprint(DATA), fingerprint(DATA))
    assert difference(fingerprint(DATA), fingerprint(other)) == "the items themselves are others"


def test_the_pairs_of_a_flow_need_one_step():
    """In two dimensions: after reflow one step of Euler's method lands at the data."""
    torch.manual_seed(0)
    path, points = GaussianPath(), torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    flow, grid = FiniteData(path, Flow, points), torch.linspace(0, 1, 33)
    made = reflow(lambda x, c: simulate(flow, x, grid, Euler()).state, torch.randn(2048, 2))
    layers = [torch.nn.Linear(3, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(64, 2))
    model = GeneratorModel(lambda x, t, c: network(torch.cat([x, t[:, None]], 1)), path)
    optimizer = torch.optim.Adam(network.parameters(), 4e-3)
    for _ in range(400):
        pair, t = made[torch.randint(2048, (256,)).tolist()].pair, torch.rand(256)
        x_t = path.sample(pair.x_1, t, x_0=pair.x_0)
        optimizer.zero_grad()
        Objective()(model, path, pair.x_1, t, x_t).mean().backward()
        optimizer.step()
    x_0 = torch.randn(1000, 2)
    with torch.no_grad():
        far, near = (
            torch.cdist(simulate(m, x_0, [0.0, 1.0], Euler()).state, points).amin(1).mean()
            for m in (flow, model)
        )
    assert far > 1.9  # the mean of the data
    assert near < 0.8
