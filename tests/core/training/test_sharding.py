import copy
import json
import subprocess
from pathlib import Path

import points
import pytest
import torch
from launching import ENVIRONMENT, launched
from safetensors.torch import load_file
from torch import nn

from feller.core.nn.ema import EMA
from feller.core.nn.shards import is_sharded, is_shared, local
from feller.core.training.sharding import blocks, recomputed, shard, shard_like, whole
from feller.core.training.trainer import train

SCRIPT = Path(points.__file__)


class Deep(nn.Module):
    """Two blocks with dropout, in a list of a list, and tied ends."""

    def __init__(self):
        super().__init__()
        self.door = nn.Linear(4, 6)
        self.lists = nn.ModuleList([nn.ModuleList([Block(), nn.ReLU()]), nn.ModuleList([Block()])])
        self.end = nn.Linear(6, 4)
        self.again = nn.Linear(6, 4, bias=False)
        self.again.weight = self.end.weight

    def forward(self, x):
        x = self.door(x)
        for part in self.lists:
            for block in part:
                x = block(x)
        return self.end(x) + self.again(x)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(6, 6)])
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x + torch.dropout(self.parts[0](x).sin(), 0.3, train=True)


@pytest.fixture
def group(tmp_path):
    """A group of this one process."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


def test_blocks_are_what_lists_repeat():
    model = Deep()
    assert list(blocks(model)) == [model.lists[0][0], model.lists[1][0]]


def gradients(model):
    torch.manual_seed(1)
    model(torch.ones(3, 4)).square().sum().backward()
    return [p.grad for p in model.parameters()]


def test_activations_that_are_computed_again_are_the_same():
    plain, model = Deep(), Deep()
    model.load_state_dict(plain.state_dict())
    recomputed(model)
    for one, other in zip(gradients(plain), gradients(model), strict=True):
        assert torch.equal(one, other)
    assert [block.calls for block in blocks(plain)] == [1, 1]
    assert [block.calls for block in blocks(model)] == [2, 2]
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_a_model_that_is_split_keeps_its_names_and_its_average(group):
    plain = Deep()
    model = copy.deepcopy(plain)
    averages = EMA(plain, 0.9), EMA(model, 0.9)
    shard(model, torch.device("cpu"))
    shard_like(averages[1].model, model)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert is_shared(model) and not is_shared(plain)
    for each in (model, averages[1].model):
        assert all(is_sharded(p) for p in each.parameters())
        assert each.again.weight is each.end.weight
    for step in (1, 2):
        for each, average in zip((plain, model), averages, strict=True):
            gradients(each)
            torch.optim.SGD(each.parameters(), lr=0.1).step()
            average.update(each, step)
    first, second = averages[0].model, whole(averages[1].model)
    for name, value in first.state_dict().items():
        assert not is_sharded(second.state_dict()[name])
        torch.testing.assert_close(second.state_dict()[name], value)
    assert second.again.weight is second.end.weight
    with torch.no_grad():
        local(averages[1].model.door.weight).zero_()
    assert whole(averages[1].model, second) is second
    assert not second.door.weight.any()


def test_a_weight_without_rows_is_refused(group):
    model = nn.Linear(2, 2)
    model.scale = nn.Parameter(torch.tensor(1.0))
    with pytest.raises(ValueError, match="scale is a number, which has no rows"):
        shard(model, torch.device("cpu"))


def run(processes, out, steps, *words):
    command = launched(processes, SCRIPT, steps, out, *words)
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=480, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(map(json.loads, (out / "log.jsonl").read_text().splitlines()))


def assert_one_run(whole_run, out, lines):
    """The curve, the figures and the model of a run are those of one process."""
    expected = list(map(json.loads, (whole_run / "log.jsonl").read_text().splitlines()))
    for name, within in (("loss", 1e-5), ("figure", 1e-4), ("gradient_norm", 1e-4)):
        ours, theirs = ([line[name] for line in each if name in line] for each in (lines, expected))
        assert ours == pytest.approx(theirs, rel=within)
    models = [load_file(folder / "model" / "model.safetensors") for folder in (whole_run, out)]
    assert models[0].keys() == models[1].keys()
    for name, value in models[0].items():
        torch.testing.assert_close(value, models[1][name], rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Twelve steps of one process."""
    out = tmp_path_factory.mktemp("runs") / "alone"
    train(points.script_recipe(steps=12, evaluate_every=6, evaluate_n=2), out, cpu=True)
    return out


@pytest.mark.gate
def test_two_processes_that_split_a_model_give_the_curve_of_one_and_one_goes_on(alone, tmp_path):
    out = tmp_path / "split"
    run(2, out, 7, "sharding=fsdp")
    (kept,) = (out / "checkpoints").iterdir()
    parts = [len(load_file(file)) for file in kept.glob("state-0000?-of-00002.safetensors")]
    assert len(parts) == 2 and all(parts)
    recipe = points.script_recipe(steps=12, evaluate_every=6, evaluate_n=2)
    train(recipe, out, cpu=True)
    assert (out / "checkpoints" / "step_00000012" / "state.safetensors").exists()
    assert_one_run(alone, out, list(map(json.loads, (out / "log.jsonl").read_text().splitlines())))


@pytest.mark.slow
@pytest.mark.parametrize("words", [["sharding=fsdp"], ["sharding=none"]])
def test_any_number_of_processes_goes_on(alone, words, tmp_path):
    """Four begin, two go on, then one, then four again."""
    out = tmp_path / "run"
    lines = []
    for processes, steps in ((4, 4), (2, 7), (1, 9), (4, 12)):
        lines = run(processes, out, steps, *words)
    assert_one_run(alone, out, lines)
