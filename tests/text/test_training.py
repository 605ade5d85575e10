"""Training on text: it learns what can be learned, resumes bit for bit, and shares its batches."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import texts
import torch
from safetensors.torch import load_file

from feller.core import load
from feller.core.training import Optimizer, Recipe, Training
from feller.core.training.trainer import train
from feller.text.data import TextData
from feller.text.losses import Bound, CrossEntropy, NextToken
from feller.text.metrics import likelihood

ENVIRONMENT = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]


def recipe(tmp_path, model, objective, **training):
    """A walk on four letters, each followed by itself or the next: one bit a letter."""
    rng = torch.Generator().manual_seed(0)
    walk = torch.randint(2, (8000,), generator=rng).cumsum(0) % 4
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join("abcd"[i] for i in walk.tolist()))
    codec = texts.CODEC
    data = TextData(path=str(corpus), tokenizer=codec.tokenizer, length=8, cache=str(tmp_path))
    options = {"batch_size": 4, "sample_every": 0, "log_every": 1} | training
    return Recipe(
        model=model,
        data=data,
        objective=objective,
        optimizer=Optimizer(lr=1e-2, warmup=10, decay="constant"),
        training=Training(**options),
    )


def losses(out):
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("model", "objective"),
    [(texts.config(), CrossEntropy()), (texts.causal_config(), NextToken())],
    ids=["mask", "causal"],
)
def test_a_run_that_is_interrupted_is_the_run(tmp_path, model, objective):
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    for steps, out in ((3, parts), (6, parts), (6, whole)):
        train(recipe(tmp_path, model, objective, steps=steps), out, cpu=True)
    assert losses(parts) == losses(whole)
    one, other = (load_file(out / "model" / "model.safetensors") for out in (parts, whole))
    assert all(one[name].equal(other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "objective"),
    [
        (texts.config(), CrossEntropy()),
        (texts.config("uniform", parametrization="leave_one_out"), Bound()),
        (texts.config("mask+uniform"), CrossEntropy()),
        (texts.causal_config(), NextToken()),
    ],
    ids=["mask", "uniform", "mask+uniform", "causal"],
)
def test_a_walk_is_learned(tmp_path, model, objective):
    """The first of eight letters costs two bits and each other one: nine eighths a letter."""
    asked = recipe(tmp_path, model, objective, steps=2000, batch_size=16, log_every=100)
    cosine = replace(asked, optimizer=replace(asked.optimizer, decay="cosine"))
    train(cosine, tmp_path / "run", cpu=True)
    bits, _ = likelihood(load(str(tmp_path / "run")), asked.data, "test", draws=64)
    assert bits.high > 9 / 8
    assert bits.value < 9 / 8 * 1.1


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("To be, or not to be, that is the question:\n" * 200)
    network = "--model.network.transformer"
    flags = ["--cpu", "--data.path", corpus, "--data.cache", tmp_path / "cache"]
    flags += [f"{network}.dim", "32", f"{network}.depth", "1", f"{network}.num-heads", "2"]
    flags += ["--training.steps", "4", "--training.log-every", "1", "--training.sample-every", "0"]
    for processes in (1, 2):
        group = ["--num_processes", str(processes), *(["--multi_gpu"] if processes > 1 else [])]
        command = [*LAUNCH, *group, "-m", "feller.core", "train", "text/shakespeare-mask"]
        out = tmp_path / str(processes)
        command = list(map(str, [*command, "--out", out, *flags]))
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        card = json.loads((out / "model" / "card.json").read_text())
        assert card["training"]["processes"] == processes
    assert losses(tmp_path / "1") == pytest.approx(losses(tmp_path / "2"), rel=1e-4)
