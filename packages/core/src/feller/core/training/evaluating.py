"""Figures of samples while a model trains: drawn by all processes, in blocks.

Block b is a function of the seed and of b, so that figures do not depend on how many processes
share the blocks.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from feller.core.training.loop import Run

__all__ = ["Evaluation", "begin_evaluation", "figures_of"]


class Evaluation(ABC):
    """How a model is measured while it trains: its method `evaluation` returns this.

    Attributes:
        blocks: How many blocks of samples there are.
    """

    blocks: int

    @abstractmethod
    def look(self, block: int) -> Tensor:
        """Draw the samples of a block; return what the figures need of them, a row each."""

    @abstractmethod
    def figures(self, seen: Tensor) -> dict[str, float]:
        """Return the figures, by name, from the rows of all blocks."""


def begin_evaluation(run: Run) -> Evaluation | None:
    """Return how the averaged model is measured, where the recipe asks for it.

    Raises:
        ValueError: When there are no such figures of the model.
    """
    training, model = run.recipe.training, run.ema.model
    if not training.evaluate_every:
        return None
    if not hasattr(model, "evaluation"):
        raise ValueError(
            f"training.evaluate_every is {training.evaluate_every}, but there are no figures of a "
            f"{type(model).__name__}: set it to 0"
        )
    return model.evaluation(run.recipe.data, n=training.evaluate_n)  # pyright: ignore[reportCallIssue]


def figures_of(run: Run, evaluation: Evaluation) -> dict[str, float]:
    """Measure the averaged model. Every process calls it and draws its part."""
    accelerator = run.accelerator
    mine = range(accelerator.process_index, evaluation.blocks, accelerator.num_processes)
    part: list[Any] = [(block, evaluation.look(block).cpu()) for block in mine]
    found = sorted(gather_object(part), key=lambda pair: pair[0])
    return evaluation.figures(torch.cat([rows for _, rows in found]))
