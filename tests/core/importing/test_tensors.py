"""Weights are taken once each."""

from pathlib import Path

import pytest
import torch

from feller.core.checkpoint import CheckpointError
from feller.core.importing.tensors import Tensors


def held(**tensors):
    return Tensors(tensors, Path("file"))


def test_taken_in_single_precision_and_once():
    some = held(a=torch.ones(2, dtype=torch.bfloat16), b=torch.ones(2, dtype=torch.int64))
    assert some.take("a").dtype == torch.float32 and some.take("b").dtype == torch.int64
    with pytest.raises(CheckpointError, match="file lacks a"):
        some.take("a")
    some.end("anything")


def test_blocks_are_counted():
    some = Tensors(
        {f"x.{i}.w": torch.zeros(1) for i in (0, 1, 3)} | {"x.y": torch.zeros(1)}, Path("f")
    )
    with pytest.raises(CheckpointError, match=r"f lacks x\.2"):
        some.count("x")
    assert some.count("y") == 0


def test_what_is_left_is_named():
    some = held(a=torch.zeros(()), b=torch.zeros(1), c=torch.zeros(1))
    with pytest.raises(CheckpointError, match="a of file is one number"):
        some.rows("a")
    some.leave("a")
    with pytest.raises(CheckpointError, match=r"file has b, which is unknown in it \(1 more are\)"):
        some.end("it")
