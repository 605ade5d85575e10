"""Figures of images while a model trains."""

import json

import numpy as np
import pytest
import torch
from terminal import complaint, feller

from feller.images.data import ImageData
from feller.images.metrics.frechet import frechet_distance
from feller.images.metrics.while_training import BLOCK, ImageEvaluation
from feller.images.recipes import drawn_flow
from feller.images.shapes import draw_shapes

RUN = ("train", "images/drawn-flow", "--cpu", "--training.steps", 2, "--training.batch-size", 2)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Few shapes in a file: reading them is quicker than drawing the whole set."""
    file = tmp_path_factory.mktemp("data") / "shapes.npz"
    parts = {split: draw_shapes(200, 28, seed) for seed, split in enumerate(("train", "test"))}
    arrays = {f"{split}_images": images for split, (images, _) in parts.items()}
    np.savez(file, **arrays, **{f"{split}_labels": labels for split, (_, labels) in parts.items()})
    return file


@pytest.fixture(scope="module")
def evaluation(shapes):
    data = ImageData(source="npz", root=str(shapes))
    return ImageEvaluation(drawn_flow().model.build(), data, n=BLOCK + 6)


@pytest.mark.gate
def test_blocks_are_the_same_each_time(evaluation):
    assert evaluation.blocks == 2
    first, last = (evaluation.look(block) for block in range(2))
    assert (first.shape, last.shape) == ((BLOCK, 96), (6, 96))
    assert evaluation.look(1).equal(last)
    assert not first[:6].equal(last)
    figures = evaluation.figures(torch.cat([first, last]))
    assert figures["KID"] > 1
    real = evaluation.real
    assert figures["FID"] == frechet_distance(torch.cat([first, last]), real)
    assert len(real) == 200


def test_figures_are_in_the_log_of_a_run(tmp_path, shapes):
    flags = ("--training.evaluate-every", 1, "--training.evaluate-n", 4)
    assert (
        feller(
            *RUN,
            "--data.source",
            "npz",
            "--data.root",
            shapes,
            "--out",
            tmp_path / "a",
            *flags,
            "--training.sample-every",
            0,
        ).code
        == 0
    )
    lines = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    measured = [line for line in lines if "KID" in line]
    assert [line["step"] for line in measured] == [1, 2]
    assert all(line["FID"] > 0 for line in measured)


def test_too_few_samples_are_refused_before_the_first_step(tmp_path, shapes):
    flags = ("--training.evaluate-every", 1, "--training.evaluate-n", 3)
    said = complaint(
        *RUN, "--data.source", "npz", "--data.root", shapes, "--out", tmp_path / "a", *flags
    )
    assert said == "feller train: training.evaluate_n is at least 4, not 3"
    assert not (tmp_path / "a" / "log.jsonl").exists()
