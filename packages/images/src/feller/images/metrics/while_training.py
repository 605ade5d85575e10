"""Figures of a model while it trains: KID and FID of a few samples, from the same noise each time.

They show a trend; figures to report are those of `feller evaluate`, which draws more samples with
more steps.
"""

from dataclasses import replace
from typing import Any

from torch import Tensor

from feller.core import random
from feller.core.training import Evaluation
from feller.images.data import ImageData
from feller.images.metrics.features import feature_network
from feller.images.metrics.frechet import frechet_distance
from feller.images.metrics.kid import kernel_distance
from feller.images.metrics.splits import some_of, splits
from feller.images.sampling import Sampling, suited

__all__ = ["ImageEvaluation"]

BLOCK = 64  # samples that a process draws at once
REAL = 5_000


class ImageEvaluation(Evaluation):
    """KID and FID to test images, of samples with classes drawn uniformly.

    Args:
        model: The model, whose weights may change between figures.
        data: Where its data are.
        n: Samples, at least four.

    Raises:
        DataError: When data are missing or corrupt.
        ValueError: When there are too few samples, or no feature network for these images.
    """

    def __init__(self, model: Any, data: ImageData, *, n: int) -> None:
        if n < 4:
            raise ValueError(f"training.evaluate_n is at least 4, not {n}")
        self.model, self.n, self.blocks = model, n, -(-n // BLOCK)
        device = next(model.parameters()).device
        self.network = feature_network("auto", model.codec, device)
        real = splits(model, data)
        self.numbers = model.codec.scaled(real.labels) if model.codec.numbers else None
        self.real = self.network.embed(some_of(real.test, REAL, 0)).cpu()
        self.sampling = suited(Sampling(), model)
        if self.sampling.solver == "heun":  # a look at half the price
            self.sampling = replace(self.sampling, solver="euler")

    def look(self, block: int) -> Tensor:
        """Draw a block of samples; return their features."""
        count, classes = min(BLOCK, self.n - block * BLOCK), len(self.model.codec.classes)
        labels = None
        if classes and self.model.config.condition_drop != 1:
            rng = random.rows(block, 0, count, stream="labels while training")
            labels = random.integers(classes, (count,), rng)
        elif self.numbers is not None and self.model.config.condition_drop != 1:
            rng = random.rows(block, 0, count, stream="labels while training")
            labels = self.numbers[random.integers(len(self.numbers), (count,), rng)]
        images, _ = self.model.draw(count, labels, self.sampling, seed=block)
        return self.network.embed(images)

    def figures(self, seen: Tensor) -> dict[str, float]:
        """Return the distances."""
        kernel = kernel_distance(seen, self.real).value
        return {"KID": kernel, "FID": frechet_distance(seen, self.real)}
