"""Data that are pairs: two sets, translations, or what a trained model makes of its source samples.

A model trained again on its own pairs (reflow) has straighter ways and needs fewer steps. Source:
Liu, Gong and Liu, arXiv 2209.03003, section 2.2. Pairs are kept in a folder, so that a recipe can
name them: `PairFolder("pairs")` with the coupling `GivenPairs("the model's name")`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from feller.core import random
from feller.core.config import tagged
from feller.core.files import keep_others, published
from feller.core.pairs import Pair, PairBatch
from feller.core.training.config import DataConfig
from feller.core.typing import Rng

__all__ = ["PairData", "PairFolder", "load_pairs", "reflow", "save_pairs"]

NAME = "pairs.safetensors"


@dataclass(frozen=True)
class PairData:
    """A data set of pairs, which no codec encodes.

    Attributes:
        x_0: Source samples `(n, *event)`.
        x_1: Data points; their number may differ if the sets are not paired.
        condition: The condition of each data point, if any.
        paired: Whether rows belong together. Otherwise each data point gets a random source sample,
            for a coupling to pair.

    Raises:
        ValueError: When paired sets have two lengths.

    Example:
        >>> data = PairData(torch.zeros(3, 1), torch.arange(3.0)[:, None])
        >>> data[[0, 2]].pair.x_1.flatten()
        tensor([0., 2.])
    """

    x_0: Tensor
    x_1: Tensor
    condition: Tensor | None = None
    paired: bool = True

    def __post_init__(self) -> None:
        """Reject sets of two lengths whose rows belong together."""
        if self.paired and len(self.x_0) != len(self.x_1):
            raise ValueError(
                f"paired sets are of one length, not {len(self.x_0)} and {len(self.x_1)}: "
                "paired=False for sets that do not belong together"
            )

    def __len__(self) -> int:
        """Return the number of data points."""
        return len(self.x_1)

    def __getitem__(self, indices: list[int]) -> PairBatch:
        """Return some of the pairs; of sets that are not paired, always the same."""
        if self.paired:
            return self._joined(indices, indices)
        return self.drawn(indices, [random.rows(0, i, i + 1)[0] for i in indices])

    @property
    def draws(self) -> bool:
        """Whether source samples are drawn, anew each epoch."""
        return not self.paired

    def drawn(self, indices: list[int], rng: Rng) -> PairBatch:
        """Return some data points, each with a source sample drawn at random."""
        return self._joined(indices, random.integers(len(self.x_0), (len(indices),), rng).tolist())

    def _joined(self, indices: list[int], partners: list[int]) -> PairBatch:
        condition = None if self.condition is None else self.condition[indices]
        return PairBatch(Pair(self.x_0[partners], self.x_1[indices]), condition)


@tagged("pair_folder")
@dataclass(frozen=True)
class PairFolder(DataConfig):
    """Pairs that `save_pairs` wrote.

    Attributes:
        folder: The folder.
        paired: Whether rows belong together.
    """

    folder: str
    paired: bool = True

    def build(self, split: Literal["train", "test"] = "train") -> PairData:
        """Read the pairs, the same for both splits.

        Raises:
            ValueError: When the folder holds none.
        """
        return load_pairs(self.folder, paired=self.paired)


def save_pairs(data: PairData, folder: str | Path) -> Path:
    """Write pairs into a folder, replacing old ones once the new ones are complete.

    Other files in the folder are kept.

    Raises:
        ValueError: When `folder` is a file.
        OSError: When it cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: pairs are kept in a folder, choose another")
    tensors = {"x_0": data.x_0, "x_1": data.x_1, "condition": data.condition}
    with published(folder) as fresh:
        kept = {name: value.contiguous() for name, value in tensors.items() if value is not None}
        save_file(kept, fresh / NAME)
        keep_others(folder, fresh)
    return folder


def load_pairs(folder: str | Path, *, paired: bool = True) -> PairData:
    """Read pairs from a folder.

    Raises:
        ValueError: When it holds none.
    """
    file = Path(folder) / NAME
    try:
        found = load_file(file)
        return PairData(found["x_0"], found["x_1"], found.get("condition"), paired)
    except (OSError, KeyError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{file} holds no pairs ({reason}): save_pairs writes them") from None


def reflow(
    draw: Callable[[Tensor, Any], Tensor],
    x_0: Tensor,
    *,
    condition: Tensor | None = None,
    batch: int = 256,
) -> PairData:
    """Return the pairs that a model makes of source samples.

    Args:
        draw: From source samples, and their conditions, to what the model makes of them, such as
            `lambda x, c: simulate(model, x, grid, solver, condition=c).state`.
        x_0: Source samples `(n, *event)`.
        condition: The condition of each pair.
        batch: So many at once.

    Example:
        >>> reflow(lambda x, condition: x + 2, torch.zeros(3, 1))[[0]].pair.x_1
        tensor([[2.]])
    """
    ends = []
    for start in range(0, len(x_0), batch):
        few = slice(start, start + batch)
        ends.append(draw(x_0[few], None if condition is None else condition[few]))
    return PairData(x_0, torch.cat(ends), condition)
