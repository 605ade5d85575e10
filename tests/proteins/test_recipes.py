"""Recipes of proteins: each builds, survives JSON and takes a step on made structures."""

from dataclasses import replace

import pytest
import structures
import torch
from accelerate import Accelerator

from feller.core.config import decode, encode
from feller.core.domains import domains, recipe
from feller.core.training import Recipe
from feller.core.training.loop import build_run, training_steps
from feller.proteins import recipes
from feller.proteins.structure.writing import write_chains

NAMES = sorted(domains()["proteins"].recipes)


@pytest.fixture(params=NAMES)
def found(request):
    return recipe(f"proteins/{request.param}")


def test_every_recipe_is_registered():
    assert {name.replace("_", "-") for name in recipes.__all__} == set(NAMES)


def test_a_recipe_makes_sense(found):
    assert isinstance(found, Recipe)
    assert found.optimizer.warmup <= found.training.steps / 10
    assert decode(encode(found)) == found


def test_sizes():
    def parameters(name):
        with torch.device("meta"):
            return sum(p.numel() for p in recipe(f"proteins/{name}").model.build().parameters())

    assert 4 * parameters("short-flow") < 8e6  # bytes
    assert 8e6 < parameters("frameflow") < parameters("multiflow") < 30e6


def test_who_is_trained_on_residues_draws_them():
    for name in NAMES:
        one = recipe(f"proteins/{name}")
        assert one.model.sequence == (one.objective.residue > 0)


def test_flow_and_jump_differ_in_what_is_simulated_alone():
    flow, jump = recipe("proteins/short-flow"), recipe("proteins/short-jump")
    assert (flow.model.flow, flow.model.jump) == (1.0, 0.0)
    assert (jump.model.flow, jump.model.jump) == (0.0, 1.0)
    assert replace(jump, model=flow.model) == flow


@pytest.mark.parametrize("name", ["short-flow", "short-jump", "short-codesign"])
def test_a_short_recipe_takes_a_step(name, tmp_path):
    chains = [structures.chain(44, name=f"h{i}", seed=i) for i in range(3)]
    write_chains(chains, tmp_path / "pdb")
    full = recipe(f"proteins/{name}")
    network = replace(full.model.network, dim=32, pair=8, depth=2, num_heads=2, updates=1)
    data = replace(
        full.data, path=str(tmp_path / "pdb"), cache=str(tmp_path / "cache"), test_fraction=0.0
    )
    data = replace(data, filters=replace(data.filters, max_gyration=9.0))
    small = replace(
        full,
        model=replace(full.model, network=network),
        data=data,
        training=replace(full.training, batch_size=2, steps=2),
    )
    run = build_run(small, Accelerator(cpu=True))
    records = list(training_steps(run))
    assert len(records) == 2 and all(torch.isfinite(record.loss) for record in records)
