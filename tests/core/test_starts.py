"""What one model takes of another: by name and shape, rows by what they stand for."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from feller.core.checkpoint import CheckpointError, save_model
from feller.core.config import tagged
from feller.core.starts import _named_as, start_from
from feller.core.training import ModelConfig


@tagged("test/starts")
@dataclass(frozen=True)
class NetConfig(ModelConfig):
    classes: tuple[str, ...] = ("cat", "dog", "fox")
    width: int = 4
    extra: bool = False
    named: bool = True

    def row_names(self):
        return {"table.weight": (*self.classes, "<none>")} if self.named else {}

    def build(self):
        return Net(self)


class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.table = nn.Embedding(len(config.classes) + 1, config.width)
        self.layers = nn.Sequential(nn.Linear(config.width, 32), nn.Linear(32, 32))
        if config.extra:
            self.head = nn.Linear(32, 1)


@pytest.fixture
def old():
    return NetConfig().build()


@pytest.fixture
def folder(old, tmp_path):
    return save_model(old, tmp_path / "a")


def test_rows_go_by_what_they_stand_for(old, folder):
    new = NetConfig(classes=("fox", "emu", "cat")).build()
    fresh = new.table.weight.detach().clone()
    start = start_from(new, folder)
    was, now = old.table.weight, new.table.weight
    assert now[0].equal(was[2]) and now[2].equal(was[0]) and now[3].equal(was[3])
    assert now[1].equal(fresh[1])
    assert start.initialised == {"table.weight": "new rows: emu; rows taken by name: 3"}
    assert new.layers[0].weight.equal(old.layers[0].weight)
    assert start.taken == 5 and not start.left


def test_an_order_of_its_own_is_whole(old, folder):
    new = NetConfig(classes=("dog", "fox", "cat")).build()
    assert not start_from(new, folder, strict=True).initialised
    assert new.table.weight[0].equal(old.table.weight[1])


def test_rows_without_names_are_taken_all_or_none(old, folder):
    same = NetConfig(classes=("a", "b", "c"), named=False).build()
    assert not start_from(same, folder).initialised
    more = NetConfig(classes=("a", "b", "c", "d"), named=False).build()
    assert start_from(more, folder).initialised == {"table.weight": "is [5, 4], was [4, 4]"}


def test_what_is_new_and_what_is_left_is_told(folder, tmp_path):
    larger = NetConfig(extra=True).build()
    start = start_from(larger, folder)
    assert [*start.initialised] == ["head.weight", "head.bias"]
    assert str(start) == (
        "5 tensors are taken; initialised: head.weight ([1, 32], was missing); "
        "head.bias ([1], was missing)"
    )
    back = start_from(NetConfig().build(), save_model(larger, tmp_path / "b"))
    assert back.left == {"head.bias": "[1]", "head.weight": "[1, 32]"}


def test_a_strict_start_takes_all_or_nothing(folder):
    for config in (NetConfig(extra=True), NetConfig(classes=("cat", "dog", "emu"))):
        new = config.build()
        before = new.layers[0].weight.detach().clone()
        with pytest.raises(CheckpointError, match=r"training\.start-strict: .* does not fit whole"):
            start_from(new, folder, strict=True)
        assert new.layers[0].weight.equal(before)


def test_another_network_is_no_start(folder):
    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Linear(9, 9)

    with pytest.raises(CheckpointError, match=r"does not fit the network: layers\.weight"):
        start_from(Other(), folder)
    (folder / "model.safetensors").write_bytes(b"0")
    with pytest.raises(CheckpointError, match="is corrupt"):
        start_from(NetConfig().build(), folder)


def test_values_of_half_precision_become_whole(old, tmp_path):
    folder = save_model(old, tmp_path / "a", dtype=torch.float16)
    new = NetConfig(classes=("fox", "cat")).build()
    start_from(new, folder)
    assert new.table.weight.dtype == torch.float32


def test_a_network_read_through_another_has_its_weights():
    """A wrapper calls what it wraps `network`; neither has other weights than the network."""

    class Wrapped(nn.Module):
        def __init__(self, network, config=None):
            super().__init__()
            self.network, self.config = network, config

    bare, wrapped = Wrapped(Net(NetConfig())), Wrapped(Wrapped(Net(NetConfig())), NetConfig())
    assert set(_named_as(wrapped.state_dict(), bare.state_dict())) == set(wrapped.state_dict())
    assert set(_named_as(bare.state_dict(), wrapped.state_dict())) == set(bare.state_dict())
    assert set(_named_as(bare.state_dict(), {"other": torch.zeros(1)})) == {"other"}
