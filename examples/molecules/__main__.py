"""Train, draw and measure: `python -m molecules train|evaluate|smoke`, in the folder `examples`."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

import feller
from feller.core.training import Training
from feller.core.training.trainer import train as train_recipe
from molecules.data import ELEMENTS, QM9
from molecules.metrics import report
from molecules.model import MoleculeModel
from molecules.recipe import qm9


def train(out: str = "runs/qm9", steps: int = 12_000) -> None:
    """Train on QM9, or go on where the same command stopped."""
    recipe = qm9()
    train_recipe(replace(recipe, training=replace(recipe.training, steps=steps)), out, cpu=True)


def evaluate(
    model: str = "runs/qm9", n: int = 10_000, steps: int = 50, seed: int = 0, data: bool = False
) -> None:
    """Draw molecules and print how many are stable, valid and different.

    Args:
        model: The folder of a run, or of a model.
        n: Molecules to draw.
        steps: Network calls of each.
        seed: Chooses them.
        data: Measure those held out of QM9 instead.
    """
    if data:
        held = QM9().build("test")
        rows = list(zip(held.positions, held.elements, strict=True))[:n]
        drawn = [{"position": torch.tensor(p), "element": torch.tensor(e)} for p, e in rows]
    else:
        drawn = feller.load(model, MoleculeModel).sample(n, steps=steps, seed=seed)
    print(report(drawn))


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"train": train, "evaluate": evaluate})
