"""Batches are drawn, and a sample is the same in each."""

from dataclasses import fields

import numpy as np
import pytest
import tiny_proteins

from feller.proteins.designs import DesignFlags, plan
from feller.proteins.drawing import DrawFlags, chains_of, drawn, frames_of
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
