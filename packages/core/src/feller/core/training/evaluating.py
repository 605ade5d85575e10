"""Figures of samples while a model trains: drawn by all processes, in blocks.

Block b is a function of the seed and of b, so that figures do not depend on how many processes
share the blocks.
"""

from typing import Any

import torch
from accelerate.utils import gather_object

from feller.core.training.config import Evaluation
from feller.core.training.loop import Run

__all__ = ["begin_evaluation", "figures_of"]


def begin_evaluation(run: Run) -> Evaluation | None:
    """Return how the averaged model is measured, where the recipe asks for it.

    Raises:
        ValueError: When there are no such figures of the model.
    """
    recipe, training = run.recipe, run.recipe.training
    if not training.evaluate_every:
        return None
    found = recipe.model.evaluation(run.averaged(), recipe.data, n=training.evaluate_n)
    if found is None:
        raise ValueError(
            f"training.evaluate_every is {training.evaluate_every}, but there are no figures of a "
            f"{type(run.ema.model).__name__}: set it to 0"
        )
    return found


def figures_of(run: Run, evaluation: Evaluation) -> dict[str, float]:
    """Measure the averaged model. Every process calls it and draws its part."""
    accelerator, _ = run.accelerator, run.averaged()
    mine = range(accelerator.process_index, evaluation.blocks, accelerator.num_processes)
    part: list[Any] = [(block, evaluation.look(block).cpu()) for block in mine]
    found = sorted(gather_object(part), key=lambda pair: pair[0])
    return evaluation.figures(torch.cat([rows for _, rows in found]))
