import json
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from feller.core.checkpoint import CheckpointError, load_model
from feller.core.config import tagged
from feller.core.couplings import EntropicOT, GivenPairs
from feller.core.networks import buildable
from feller.core.nn.condition_kinds import FloatCondition
from feller.core.nn.conditions import Conditions
from feller.core.pair_data import PairData
from feller.core.paths import BridgePath, BrownianNoise, GaussianPath
from feller.core.schedules import VariancePreserving
from feller.core.sources import DataSource
from feller.core.training.own import GivenData, train

POINTS = torch.tensor([[1.0, 1.0], [-1.0, 1.0]]).repeat(8, 1)
QUIET = {"sample_every": 0, "cpu": True, "batch_size": 4}


@buildable
class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, width), nn.SiLU(), nn.Linear(width, 2))

    def forward(self, x, t):
        return self.layers(torch.cat([x, t[:, None]], 1))


class Half(Net):
    def __init__(self):
        super().__init__()
        self.to(torch.bfloat16)

    def forward(self, x, t):
        return super().forward(x, t.to(x))


class Told(Net):
    def forward(self, x, t, condition=None):
        told = 0 if condition is None else condition["side"].nan_to_num()[:, None]
        return super().forward(x, t) + told


class Sides(torch.utils.data.Dataset):
    def __len__(self):
        return len(POINTS)

    def __getitem__(self, index):
        return POINTS[index], {"side": float(POINTS[index, 0])}


def test_it_trains_resumes_and_loads(tmp_path):
    network = Net(8)
    before = network.layers[0].weight.clone()
    model = train(POINTS, network, tmp_path / "a", steps=2, lr=0.1, **QUIET)
    assert network.layers[0].weight.equal(before)
    assert model.sample(3, steps=2).shape == (3, 2)
    loaded = load_model(tmp_path / "a" / "model")
    assert loaded.sample(3, steps=2).equal(model.sample(3, steps=2))
    train(POINTS, Net(8), tmp_path / "a", steps=4, lr=0.1, **QUIET)
    sessions = json.loads((tmp_path / "a" / "run.json").read_text())["sessions"]
    assert [session["step"] for session in sessions] == [0, 2]
    with pytest.raises(ValueError, match=r"taken 4 steps, more than --training\.steps 3"):
        train(POINTS, Net(8), tmp_path / "a", steps=3, lr=0.1, **QUIET)


@pytest.mark.parametrize("other", [POINTS.repeat(2, 1), TensorDataset(POINTS.flip(0))], ids=type)
def test_it_goes_on_with_other_data_when_told(other, tmp_path):
    train(POINTS, Net(), tmp_path / "a", steps=1, **QUIET)
    with pytest.raises(ValueError, match=r"have changed .*: --new-data resumes"):
        train(other, Net(), tmp_path / "a", steps=2, **QUIET)
    train(other, Net(), tmp_path / "a", steps=2, new_data=True, **QUIET)
    train(other, Net(), tmp_path / "a", steps=3, **QUIET)  # from then on they are the run's


def test_it_starts_from_what_the_network_knows(tmp_path):
    network = Net()
    model = train(POINTS, network, tmp_path / "a", steps=0, **QUIET)
    assert model.network.layers[0].weight.equal(network.layers[0].weight)


def test_conditions_of_several_parts_are_dropped(tmp_path):
    model = train(Sides(), Told(), tmp_path / "a", steps=2, condition_drop=0.5, **QUIET)
    side = {"side": torch.ones(3)}
    assert not model.sample(3, condition=side, steps=2).equal(model.sample(3, steps=2))


@pytest.mark.gate
def test_an_own_type_is_refused_by_the_name_of_its_module(tmp_path):
    train(POINTS, Net(), tmp_path / "a", steps=0, **QUIET)
    code = f"from feller.core import load; load({str(tmp_path / 'a')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    home = Net.__module__.rpartition(".")[2]
    assert f"is Net of the module {Net.__module__}: import" in done.stderr.splitlines()[-1]
    assert home in done.stderr


def test_a_saved_type_names_its_module(tmp_path):
    import points

    from feller.core.checkpoint import save_model

    folder = save_model(points.PointModelConfig().build(), tmp_path / "a")
    config = json.loads((folder / "config.json").read_text())
    assert config["modules"] == {"test/points": "points"}
    config["model"]["type"], config["modules"] = "far/points", {"far/points": "far_away"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="of the module far_away: import far_away first"):
        load_model(folder)


@pytest.mark.parametrize(
    ("data", "network", "said"),
    [
        (torch.empty(0, 2), Net(), "the data are empty"),
        (3, Net(), "a tensor, a torch Dataset or a stream of items, not int"),
        (iter(POINTS), Net(), "a stream is iterated over each epoch"),
        (TensorDataset(POINTS, POINTS, POINTS), Net(), "an item is a tensor, or a tensor and its"),
        (Sides(), Net(), r"called as network\(x, t\) with x \(2, 2\) and t \(2,\): a condition is"),
        (POINTS, nn.Linear(2, 2), r"called as network\(x, t, condition\) with x \(2, 2\)"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_one_line(data, network, said, tmp_path):
    with pytest.raises(ValueError, match=said) as caught:
        train(data, network, tmp_path / "a", **QUIET)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a").exists()


def test_an_unknown_setting_is_refused(tmp_path):
    with pytest.raises(TypeError, match="no setting 'stepps'; did you mean steps"):
        train(POINTS, Net(), tmp_path / "a", stepps=3)


def test_a_recipe_does_not_hold_the_data():
    with pytest.raises(ValueError, match="were given in Python"):
        GivenData("Tensor of 8").build()


def test_what_is_held_out_has_its_loss_in_the_log(tmp_path):
    train(POINTS, Net(), tmp_path / "a", steps=2, validate_every=1, held_out=POINTS + 1, **QUIET)
    lines = (tmp_path / "a" / "log.jsonl").read_text().splitlines()
    assert sum("validation" in json.loads(line) for line in lines) == 2
    with pytest.raises(ValueError, match="the held-out data are those that are trained on"):
        train(POINTS, Net(), tmp_path / "b", steps=2, validate_every=1, **QUIET)


def test_bridges_and_pairs_train(tmp_path):
    bridge = BridgePath(noise=BrownianNoise(0.5))
    made = train(
        POINTS, Net(), tmp_path / "a", path=bridge, coupling=EntropicOT(0.5), steps=1, **QUIET
    )
    assert made.sample(3, steps=2).shape == (3, 2)
    pairs = PairData(POINTS + 1, POINTS)
    between = BridgePath(source=DataSource())
    options = {"coupling": GivenPairs(), "steps": 1} | QUIET
    made = train(pairs, Net(), tmp_path / "b", path=between, **options)
    assert made.sample(POINTS[:3], steps=2).shape == (3, 2)
    straight = train(pairs, Net(), tmp_path / "c", **options)  # on the Gaussian path: reflow
    assert straight.coupling == GivenPairs()


class Embedded(Net):
    def __init__(self):
        super().__init__()
        self.side = nn.Embedding(2, 2)

    def forward(self, x, t, condition=None):
        return super().forward(x, t) + self.side(condition)


def test_a_network_that_cannot_go_without_its_condition_is_told_so_before_training(tmp_path):
    data = TensorDataset(POINTS, torch.zeros(len(POINTS), dtype=torch.int64))
    with pytest.raises(ValueError, match=r"a row's condition -1 or NaN: index out of range"):
        train(data, buildable(Embedded)(), tmp_path / "a", steps=1, condition_drop=0.1, **QUIET)
    assert not (tmp_path / "a").exists()


def test_half_precision_trains_and_its_average_follows(tmp_path):
    given = {"lr": 0.1, "warmup": 0, "ema_decay": 0.99, **QUIET}
    straight = train(POINTS, buildable(Half)(), tmp_path / "a", steps=40, **given)
    fresh = Half()
    assert straight.network.layers[2].bias.dtype == torch.bfloat16
    assert (straight.network.layers[2].bias - fresh.layers[2].bias).abs().max() > 0.01
    train(POINTS, fresh, tmp_path / "b", steps=20, **given)
    resumed = train(POINTS, fresh, tmp_path / "b", steps=40, **given)
    assert resumed.sample(2, steps=2).isfinite().all()


@tagged("test_own/wide")
@dataclass(frozen=True)
class Wide(GaussianPath):
    """A path that starts at twice its source samples."""

    def sample(self, z, t, rng=None, *, x_0=None):
        x_0 = self.sample_source(z.shape, rng, like=z) if x_0 is None else x_0
        return super().sample(z, t, x_0=2 * x_0)


def test_a_path_that_does_not_start_at_its_source_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a state of Wide at t = 0 is [\d.]+ from its source"):
        train(POINTS, Net(), tmp_path / "a", path=Wide(), steps=1, **QUIET)
    assert not (tmp_path / "a").exists()
    kept = GaussianPath(schedule=VariancePreserving())  # of the data a little, at t = 0
    train(POINTS, Net(), tmp_path / "b", path=kept, steps=1, **QUIET)


class Named(Told):
    def __init__(self):
        super().__init__()
        self.embed = Conditions({"side": FloatCondition(drop=1.0)}).build(4)

    def forward(self, x, t, condition=None):
        if self.training:
            assert condition["side"].isnan().all()
        return super().forward(x, t, condition) + self.embed(condition, batch=len(x)).sum()


def test_the_conditions_of_a_network_of_ones_own_are_dropped(tmp_path):
    train(Sides(), Named(), tmp_path / "a", steps=1, **QUIET)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8])
def test_a_condition_that_cannot_say_nothing_is_refused(dtype, tmp_path):
    data = TensorDataset(POINTS, torch.zeros(len(POINTS), dtype=dtype))
    told = buildable(Embedded)()
    with pytest.raises(ValueError, match=f"a condition of {dtype} has no -1: make it torch.int64"):
        train(data, told, tmp_path / "a", steps=1, condition_drop=0.1, **QUIET)
