"""Batches are drawn, and a sample is the same in each."""

import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import tiny_proteins

from feller.proteins.commands import drawing
from feller.proteins.commands.drawing import (
    DrawFlags,
    cautions,
    chains_of,
    drawn,
    frames_of,
    trained_length,
)
from feller.proteins.design.tasks import DesignFlags, plan
from feller.proteins.sampling import Sampling


@pytest.fixture(scope="module")
def model():
    return tiny_proteins.model()


def chains(model, design, n, **flags):
    batch_size = flags.pop("batch_size", None)
    batches = plan(DesignFlags(**design), n, seed=2, batch_size=batch_size)
    made = drawn(model, batches, DrawFlags(steps=4, **flags).sampling())
    return {c.name: c for batch, drawing in made for c in chains_of(model, batch, drawing)}


def same(one, other):
    return one.sequence == other.sequence and np.allclose(one.atoms, other.atoms, atol=1e-3)


def test_the_command_draws_what_the_model_samples(model):
    found = chains(model, {"length": "6"}, 5, jump=0.25, batch_size=2)
    expected = model.sample(5, length=6, steps=4, seed=2, jump=0.25)
    assert list(found) == [c.name for c in expected]
    assert all(same(found[c.name], c) for c in expected)
    assert not same(found["sample_0000"], found["sample_0001"])


def test_a_range_gives_the_same_samples_however_many(model):
    many = chains(model, {"length": "4-6"}, 9)
    few = chains(model, {"length": "4-6"}, 4, batch_size=1)
    assert {len(c) for c in many.values()} == {4, 5, 6}
    assert all(same(few[name], many[name]) for name in few)


def test_the_weights_are_those_asked_for(model):
    one, other = (
        chains(model, {"length": "6"}, 1, flow=flow)["sample_0000"] for flow in (1.0, 0.0)
    )
    assert not np.allclose(one.atoms, other.atoms, atol=1e-2)
    assert model.config.flow == 1


def test_every_way_to_draw_is_a_flag():
    defaults = {f.name: f.default for f in fields(Sampling)} | {"batch_size": None}
    flags = {f.name: f.default for f in fields(DrawFlags)}
    assert flags.pop("device") == "auto"
    assert flags | {"keep": False} == defaults
    how = DrawFlags(temperature=0.5, sequence=False, power=1.0).sampling(keep=True)
    assert (how.temperature, how.sequence, how.power, how.keep) == (0.5, False, 1.0, True)


def test_a_trajectory_ends_in_the_sample(model):
    (batch,) = plan(DesignFlags(length="5"), 2)
    ((_, drawing),) = drawn(model, [batch], DrawFlags(steps=3).sampling(keep=True))
    for chain, frames in zip(
        chains_of(model, batch, drawing), frames_of(model, batch, drawing), strict=True
    ):
        assert len(frames) == 4
        assert np.array_equal(frames[-1], chain.atoms)


def told(model, design, n=1, **options):
    return cautions(model, plan(DesignFlags(**design), n), Sampling(steps=4), **options)


def test_lengths_beyond_training_are_reported(model):
    assert told(model, {"length": "20-128"}, n=9, trained=128) == []
    assert told(model, {"length": "300"}) == []  # nothing is known
    assert told(model, {"length": "300"}, trained=128) == [
        "300 residues, and the model was trained on at most 128: expect broken bonds and clashes"
    ]
    assert told(model, {"fold": "M" * 129}, trained=128)[0].startswith("129 residues")


def test_bundled_models_know_what_they_were_trained_on(tmp_path):
    assert trained_length("proteins/short-flow") == 128
    folder = tiny_proteins.save(tmp_path / "run" / "model")
    assert trained_length(str(folder)) is None
    (tmp_path / "run" / "recipe.json").write_text('{"data": {"type": "unheard of"}}')
    assert trained_length(str(folder)) is None


def test_what_long_chains_cost_is_reported_or_refused(model, monkeypatch):
    (line,) = told(model, {"length": "5000"})
    assert line.startswith("5,000 residues in 4 network calls: about 2.0 GB and ")
    assert line.endswith(" hours")
    monkeypatch.setattr(drawing, "_memory", lambda device: 1_000_000_000)
    with pytest.raises(ValueError) as error:
        told(model, {"length": "5000"})
    assert str(error.value) == (
        "5,000 residues: a batch takes about 2.0 GB, and there are 1.0: one chain of at most about "
        "3,535 residues fits"
    )
    assert len(told(model, {"length": "3000"})) == 1


@pytest.mark.slow
def test_memory_grows_as_reported():
    """In a process of its own, as the greatest memory of a process never falls."""
    code = (
        "import torch\n"
        "from pathlib import Path\n"
        "from feller.core.registry import load\n"
        "torch.set_num_threads(1)\n"
        "model = load('proteins/short-flow', device='cpu')\n"
        "status = Path('/proc/self/status')\n"
        # Not `ru_maxrss`, which a process takes over from the one that started it.
        "peak = lambda: int(status.read_text().split('VmHWM:')[1].split()[0]) * 1024\n"
        "model.sample(1, length=64, steps=1)\n"
        "before = peak()\n"
        "model.sample(1, length=800, steps=2)\n"
        "print((peak() - before) / 800**2 / model.config.network.pair)\n"
    )
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, capture_output=True, text=True, check=True)
    assert drawing.BYTES / 2 < float(found.stdout) < drawing.BYTES * 2
