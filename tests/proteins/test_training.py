"""Training on proteins: a run that was interrupted is the run, and processes share its batches."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import structures
from safetensors.torch import load_file

from feller.core.registry import recipe
from feller.core.training.trainer import train
from feller.proteins.writing import write_chains

ENVIRONMENT = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]


@pytest.fixture
def folder(tmp_path):
    chains = [structures.chain(44 + 2 * (i % 2), name=f"h{i}", seed=i) for i in range(8)]
    write_chains(chains, tmp_path / "pdb")
    return tmp_path


def small(folder, steps):
    """`short-codesign`, with its motifs and self-conditioning, of a size for tests."""
    full = recipe("proteins/short-codesign")
    network = replace(full.model.network, dim=32, pair=8, depth=2, num_heads=2, updates=1)
    data = replace(full.data, path=str(folder / "pdb"), cache=str(folder / "cache"), share=0.0)
    return replace(
        full,
        model=replace(full.model, network=network),
        data=replace(data, filters=replace(data.filters, max_gyration=9.0)),
        training=replace(full.training, batch_size=4, steps=steps, log_every=1, sample_every=0),
        optimizer=replace(full.optimizer, warmup=1, decay="constant"),
    )


def losses(out):
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_that_is_interrupted_is_the_run(folder):
    parts, whole = folder / "parts", folder / "whole"
    for steps, out in ((2, parts), (4, parts), (4, whole)):
        train(small(folder, steps), out, cpu=True)
    assert losses(parts) == losses(whole)
    one, other = (load_file(out / "model" / "model.safetensors") for out in (parts, whole))
    assert all(one[name].equal(other[name]) for name in one)


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(folder):
    flags = ["--cpu", "--data.path", folder / "pdb", "--data.cache", folder / "cache"]
    flags += ["--data.share", "0", "--data.filters.max-gyration", "9"]
    network = {"dim": 32, "pair": 8, "depth": 2, "num-heads": 2, "updates": 1}
    training = {"steps": 4, "batch-size": 4, "log-every": 1, "sample-every": 0}
    for at, values in (("model.network", network), ("training", training)):
        flags += [part for name, n in values.items() for part in (f"--{at}.{name}", n)]
    for processes in (1, 2):
        group = ["--num_processes", str(processes), *(["--multi_gpu"] if processes > 1 else [])]
        command = [*LAUNCH, *group, "-m", "feller.core", "train", "proteins/short-codesign"]
        out = folder / str(processes)
        command = list(map(str, [*command, "--out", out, *flags]))
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        card = json.loads((out / "model" / "card.json").read_text())
        assert card["training"]["processes"] == processes
    assert losses(folder / "1") == pytest.approx(losses(folder / "2"), rel=1e-4)
