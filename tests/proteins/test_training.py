"""Training on proteins: a run that was interrupted is the run, and processes share its batches."""

from dataclasses import replace

import pytest
import structures
from launching import curve, curves_of_one_and_two
from safetensors.torch import load_file

from feller.core.domains import recipe
from feller.core.training.trainer import train
from feller.proteins.structure.writing import write_chains


@pytest.fixture
def folder(tmp_path):
    chains = [structures.chain(44 + 2 * (i % 2), name=f"h{i}", seed=i) for i in range(8)]
    write_chains(chains, tmp_path / "pdb")
    return tmp_path


def small(folder, steps):
    """`short-codesign`, with its motifs and self-conditioning, of a size for tests."""
    full = recipe("proteins/short-codesign")
    network = replace(full.model.network, dim=32, pair=8, depth=2, num_heads=2, updates=1)
    data = replace(
        full.data, path=str(folder / "pdb"), cache=str(folder / "cache"), test_fraction=0.0
    )
    return replace(
        full,
        model=replace(full.model, network=network),
        data=replace(data, filters=replace(data.filters, max_gyration=9.0)),
        training=replace(full.training, batch_size=4, steps=steps, log_every=1, sample_every=0),
        optimizer=replace(full.optimizer, warmup=1, decay="constant"),
    )


def test_a_run_that_is_interrupted_is_the_run(folder):
    parts, whole = folder / "parts", folder / "whole"
    for steps, out in ((2, parts), (4, parts), (4, whole)):
        train(small(folder, steps), out, cpu=True)
    assert curve(parts) == curve(whole)
    one, other = (load_file(out / "model" / "model.safetensors") for out in (parts, whole))
    assert all(one[name].equal(other[name]) for name in one)


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(folder):
    flags = ["--cpu", "--data.path", folder / "pdb", "--data.cache", folder / "cache"]
    flags += ["--data.test-fraction", "0", "--data.filters.max-gyration", "9"]
    network = {"dim": 32, "pair": 8, "depth": 2, "num-heads": 2, "updates": 1}
    training = {"steps": 4, "batch-size": 4, "log-every": 1, "sample-every": 0}
    for at, values in (("model.network", network), ("training", training)):
        flags += [part for name, n in values.items() for part in (f"--{at}.{name}", n)]
    one, two, shared = curves_of_one_and_two("proteins/short-codesign", folder, flags)
    assert one == pytest.approx(two, rel=1e-4)
    assert one == pytest.approx(shared, rel=1e-4)
