"""What a training step costs beside a bare PyTorch loop over the same network and batch.

    python benchmarks/training_step.py [--threads 2] [--recipe images/fashion-flow]

The bare loop draws noise and times, takes the squared error of the velocity, clips, steps AdamW and
the moving average; feller does the same through its training loop, with a random generator for each
row and Accelerate.
"""

import argparse
import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from accelerate import Accelerator
from paired import compare, show

from feller.core.domains import recipe as find_recipe
from feller.core.training import Recipe
from feller.core.training.loop import build_run, training_steps
from feller.images.data import ImageData


def bare_loop(recipe: Recipe) -> Iterator[torch.Tensor]:
    """Train as one would by hand, without feller's loop, objective or path."""
    torch.manual_seed(0)
    network = recipe.model.build().model.network
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    images, labels = recipe.data.build()[list(range(5000))]
    x_1 = images.permute(0, 3, 1, 2).float() / 127.5 - 1
    while True:
        rows = torch.randint(len(x_1), (recipe.training.batch_size,))
        z, y = x_1[rows], labels[rows]
        y = torch.where(torch.rand(len(y)) < 0.1, 10, y)
        t = torch.sigmoid(torch.randn(len(z)))
        x_0 = torch.randn_like(z)
        clock = t[:, None, None, None]
        loss = (network(clock * z + (1 - clock) * x_0, t, y) - (z - x_0)).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for old, new in zip(average.parameters(), network.parameters(), strict=True):
                old.lerp_(new, 0.001)
        yield loss.detach()


def stepper(steps: Iterator[object]) -> Callable[[], object]:
    """Return a function that takes one step."""
    return lambda: next(steps)


def main() -> None:
    """Time both loops in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--recipe", default="images/fashion-flow")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = find_recipe(options.recipe)
    recipe = replace(recipe, data=ImageData(source="drawn"))
    run = build_run(recipe, Accelerator(cpu=True))
    contestants = {"bare loop": stepper(bare_loop(recipe)), "feller": stepper(training_steps(run))}
    results = compare(contestants, rounds=options.rounds)
    show(f"{options.recipe}, batch {recipe.training.batch_size}, ms", 1e-3, results, 1.05)


if __name__ == "__main__":
    main()
