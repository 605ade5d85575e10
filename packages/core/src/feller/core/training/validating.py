"""The validation loss during training: of the averaged weights, by time, with intervals.

Each validation has the same data, times and noise, so that two of them differ only by the weights:
their difference is more accurate than either. Times are spread evenly over the distribution of
training times. Blocks of rows are shared by the processes, and a row depends on the seed and on its
number.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from accelerate.utils import send_to_device
from jaxtyping import Float64
from torch import Tensor

from feller.core import random
from feller.core.intervals import QUANTILE, Estimate
from feller.core.pairs import states_of
from feller.core.training.config import Dataset, Evaluation
from feller.core.training.fingerprints import fingerprint
from feller.core.training.loop import Run, like_times, losses_at
from feller.core.training.orders import Shuffle
from feller.core.training.streams import Stream
from feller.core.waiting import main_first

__all__ = ["BINS", "Validation", "begin_validation", "stratified_mean"]

BLOCK = 64
"""Rows whose losses a process finds at once."""
BINS = 5
"""Intervals of time, of one length, that have a loss each."""


def begin_validation(run: Run) -> "Validation | None":
    """Return how the loss on held-out data is found, where the recipe asks for it.

    Raises:
        ValueError: When what is held out is what is trained on.
    """
    if not run.recipe.training.validate_every:
        return None
    with main_first(run.accelerator):
        data = run.recipe.data.build("test")
    if isinstance(data, Stream):
        raise ValueError("training.validate_every: a stream has no numbers: hold out other data")
    held_out = fingerprint(data)
    if held_out["sample"] and held_out == fingerprint(run.data):
        raise ValueError(
            "training.validate_every: the held-out data are those that are trained on; hold some "
            "out, or set it to 0"
        )
    return Validation(run, data)


@dataclass(frozen=True)
class _Block:
    rows: range
    indices: list[int]


class Validation(Evaluation):
    """The mean loss of held-out data, and that of each interval of time.

    Args:
        run: The run, whose averaged weights are asked.
        data: The held-out data.

    Raises:
        ValueError: When there are none.
    """

    def __init__(self, run: Run, data: Dataset) -> None:
        self.run, self.data, training = run, data, run.recipe.training
        self.model: Any = run.averaged()  # filled anew before each look
        self.n, self.seed = min(training.validate_n, len(data)), training.seed
        if not self.n:
            raise ValueError("training.validate_every: no data are held out")
        some = Shuffle(len(data), seed=random.seed_of(self.seed, "validation data"))
        order = Shuffle(self.n, seed=random.seed_of(self.seed, "validation times"))
        self.order = torch.from_numpy(order(np.arange(self.n)))
        self.parts = _blocks(data, some(np.arange(self.n)))
        self.blocks, self.names = len(self.parts), list[str]()

    @torch.no_grad()
    def look(self, block: int) -> Float64[Tensor, "rows parts"]:
        """Return the time and the losses of each row of a block."""
        run, part, model = self.run, self.parts[block], self.model
        stream, rows = "validation", part.rows
        rng = random.rows(self.seed, rows.start, rows.stop, stream=stream)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random.seed_of(self.seed, stream, block))
            batch = send_to_device(self.data[part.indices], run.accelerator.device)
            z, condition = states_of(batch, lambda raw: model.codec.encode(raw, rng))
            own = random.uniform((len(rows),), rng, like=like_times(z))
            u = (self.order[rows.start : rows.stop].to(own) + own) / self.n
            t = run.recipe.times.draw(u, rng, z)
            losses = losses_at(run, model, z, condition, t, rng)
        time = run.recipe.times.quantile(u)
        self.names = list(losses)
        columns = [time, *(loss.detach() for loss in losses.values())]
        return torch.stack([column.cpu().double() for column in columns], 1)

    def figures(self, seen: Tensor) -> dict[str, float]:
        """Return the mean loss and its 95% interval, those at some times, and that of each part."""
        time, losses = seen[:, 0], seen[:, 1:]
        total = losses.sum(1)
        where = (time * BINS).long().clamp(0, BINS - 1)
        found = _named("validation", stratified_mean(total, where))
        for k in range(BINS):
            if len(inside := total[where == k]):
                name = f"validation/t {k / BINS:.1f}-{(k + 1) / BINS:.1f}"
                found |= _named(name, stratified_mean(inside, torch.zeros(len(inside)).long()))
        for name, column in zip(self.names, losses.T, strict=False):
            if name:
                found[f"validation/{name}"] = float(column.mean())
        return found


def stratified_mean(values: Float64[Tensor, " n"], stratum: Tensor) -> Estimate:
    """Return a mean with its interval, where each stratum has the rows it has by design.

    Args:
        values: The values.
        stratum: The number of the stratum of each `(n,)`.

    Example:
        >>> stratified_mean(torch.tensor([1.0, 3.0]).double(), torch.tensor([0, 1])).value
        2.0
    """
    mean, square = float(values.mean()), 0.0
    for each in stratum.unique():
        inside = values[stratum == each]
        if len(inside) > 1:
            square += float(inside.var()) * len(inside)
        else:  # one row tells no spread: that about the whole mean is no less, on average
            square += float((inside - mean).square().sum())
    spread = QUANTILE * math.sqrt(square) / len(values) if len(values) > 1 else math.inf
    return Estimate(mean, mean - spread, mean + spread)


def _named(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}/low": found.low, f"{name}/high": found.high}


def _blocks(data: Dataset, chosen: np.ndarray) -> list[_Block]:
    """Part the rows into blocks, of one group each where data have groups."""
    groups = getattr(data, "groups", None)
    key = np.zeros(len(chosen), int) if groups is None else np.asarray(groups)[chosen]
    order = np.argsort(key, kind="stable")
    chosen, key = chosen[order], key[order]
    cuts = [0, *(np.flatnonzero(np.diff(key)) + 1).tolist(), len(chosen)]
    found = []
    for first, last in pairwise(cuts):
        for start in range(first, last, BLOCK):
            rows = range(start, min(start + BLOCK, last))
            found.append(_Block(rows, chosen[rows.start : rows.stop].tolist()))
    return found
