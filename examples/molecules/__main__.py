"""Train, draw and measure: `python -m molecules`, in the folder `examples`."""

from dataclasses import replace

import torch
import tyro
from molecules.data import QM9, Methane
from molecules.metrics import report
from molecules.model import MoleculeConfig, MoleculeModel

from feller import core
from feller.core.training.trainer import train as train_recipe

QM9_RECIPE = core.Recipe(
    model=MoleculeConfig(),
    data=QM9(),
    objective=core.Objective(weights=(1.0, 0.25)),  # positions, elements
    times=core.Beta(2.0, 1.0),  # bonds get their lengths late
    coupling=core.ProductCoupling({"position": core.AlignedPoints()}),
    optimizer=core.Optimizer(lr=1e-3, betas=(0.9, 0.98), warmup=100, final=0.02),
    training=core.Training(steps=20_000, batch_size=32, checkpoint_every=250, sample_every=0),
)


def train(out: str = "runs/qm9", steps: int = 20_000, smoke: bool = False) -> None:
    """Train on QM9; the same command goes on where it stopped.

    Args:
        out: The folder of the run.
        steps: Optimizer steps.
        smoke: A tiny network on methane alone, without qm9pack, to see that all runs.
    """
    recipe = replace(QM9_RECIPE, training=replace(QM9_RECIPE.training, steps=steps))
    if smoke:
        tiny = MoleculeConfig(dim=32, pair=16, depth=2, heads=4)
        recipe = replace(recipe, model=tiny, data=Methane())
    train_recipe(recipe, out, cpu=True)


def evaluate(
    model: str = "runs/qm9", n: int = 10_000, steps: int = 50, seed: int = 0, data: bool = False
) -> None:
    """Draw molecules and print how many are stable, valid and different.

    Args:
        model: The folder of a run, or of a model.
        n: Molecules to draw.
        steps: Network calls of each.
        seed: Chooses them.
        data: Measure molecules held out of QM9 instead.
    """
    if data:
        held = QM9().build("test")
        rows = list(zip(held.positions, held.elements, strict=True))[:n]
        drawn = [{"position": torch.tensor(p), "element": torch.tensor(e)} for p, e in rows]
    else:
        drawn = core.load(model, MoleculeModel).sample(n, steps=steps, seed=seed)
    print(report(drawn))


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"train": train, "evaluate": evaluate})
