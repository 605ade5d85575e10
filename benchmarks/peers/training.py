"""A training step beside a loop by hand over the same network and batch."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from accelerate import Accelerator
from peers.job import Job
from training_step import bare_loop, stepper

from feller.core.domains import recipe as find_recipe
from feller.core.training.loop import build_run, training_steps
from feller.images.data import ImageData

__all__ = ["torch_alone"]


def torch_alone() -> Iterator[Job]:
    recipe = find_recipe("images/fashion-flow")
    recipe = replace(
        recipe,
        data=ImageData(source="drawn"),
        training=replace(recipe.training, batch_size=16),
    )
    run = build_run(recipe, Accelerator(cpu=True))
    torch.manual_seed(0)
    yield Job(
        part="Training step",
        name="images/fashion-flow, batch 16",
        package="torch",
        peer="a loop by hand: AdamW, clipping, average",
        ours=stepper(training_steps(run)),
        theirs=stepper(bare_loop(recipe)),
        rounds=5,
    )
