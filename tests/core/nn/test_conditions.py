"""Conditions of networks: each has its null, they add up, and are saved with the network."""

import pytest
import torch

from feller.core import random
from feller.core.config import decode, encode
from feller.core.nn.condition_kinds import (
    ClassCondition,
    FloatCondition,
    ImageCondition,
    VectorCondition,
)
from feller.core.nn.conditions import Conditions, check_drop, conditions_of

BOTH = Conditions({"kind": ClassCondition(classes=3, drop=1.0), "size": FloatCondition(drop=0.25)})


def test_what_is_not_told_is_nothing_in_a_row():
    embed = BOTH.build(8)
    told = {"kind": torch.tensor([2, -1]), "size": torch.tensor([torch.nan, torch.nan])}
    found = embed(told, batch=2)
    nothing = embed(None, batch=2)
    assert found[1].equal(nothing[1])
    assert not found[0].equal(nothing[0])
    assert found.equal(embed({"kind": told["kind"], "size": None}, batch=2))
    assert found.equal(embed({"kind": told["kind"]}, batch=2))


def test_conditions_add_up():
    embed = BOTH.build(8)
    both = {"kind": torch.tensor([1]), "size": torch.tensor([0.5])}
    parts = [embed({name: value}, batch=1) for name, value in both.items()]
    torch.testing.assert_close(embed(both, batch=1), sum(parts) - embed(None, batch=1))


def test_each_is_dropped_at_its_own_rate():
    n = 400
    told = {"kind": torch.zeros(n).long(), "size": torch.ones(n)}
    found = BOTH.dropped(told, random.rows(0, 0, n, stream="test"))
    assert found["kind"].eq(-1).all()
    assert 0.15 < found["size"].isnan().float().mean() < 0.35
    assert told["kind"].eq(0).all()
    assert BOTH.dropped(None, None) is None
    index = torch.arange(3)
    assert BOTH.dropped(index, None) is index


def test_conditions_are_found_within_a_network_of_ones_own():
    size = Conditions({"size": FloatCondition(drop=0.25)})
    kind = Conditions({"kind": ClassCondition(classes=3, drop=1.0)})
    network = torch.nn.ModuleList([size.build(4), torch.nn.Sequential(kind.build(8))])
    assert conditions_of(network) == BOTH
    assert conditions_of(torch.nn.Linear(1, 1)) is None


def test_they_survive_json():
    assert decode(encode(BOTH)) == BOTH


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (torch.zeros(2), r"a dict of tensors by name \(kind, size\), not a Tensor"),
        ({"colour": torch.zeros(2)}, "the conditions kind, size: 'colour' is none of them"),
        ({"kind": torch.zeros(2)}, r"'kind' is whole numbers \(b,\), not torch.float32 \(2,\)"),
        ({"kind": torch.tensor([0, 3])}, r"'kind' is 0 ... 2, or -1 for none, not 3"),
        ({"size": torch.zeros(2, 1)}, r"'size' is numbers \(b,\), not torch.float32 \(2, 1\)"),
        ({"size": torch.zeros(3)}, "'size' is one row a sample, 2, not 3"),
    ],
)
def test_what_does_not_suit_is_one_line(condition, said):
    with pytest.raises(ValueError, match=said):
        BOTH.build(8)(condition, batch=2)


def test_conditions_are_some_by_name():
    for parts in ({}, {"a b": FloatCondition()}):
        with pytest.raises(ValueError, match="conditions are"):
            Conditions(parts)
    with pytest.raises(ValueError, match="a condition cannot be called 'type'"):
        Conditions({"type": FloatCondition()})
    with pytest.raises(ValueError, match="cannot be concatenated to an image: take look out"):
        Conditions({"look": ImageCondition(image_channels=1)}).check_vectors("tokens")
    with pytest.raises(ValueError, match="drop is a fraction"):
        check_drop(1.5)
    assert conditions_of(object()) is None
    assert VectorCondition(size=2).channels == 0
