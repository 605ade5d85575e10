"""The data: molecules of QM9 as `qm9pack` has them, each batch of molecules of one size."""

import csv
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from feller.core.config import tagged
from feller.core.training import DataConfig

ELEMENTS = ("H", "C", "N", "O", "F")
HELD_OUT = 13_083
"""Molecules of the test split: every tenth, drawn once."""


@dataclass(frozen=True, eq=False)
class Molecules:
    """Molecules as a data set; its groups are their sizes, so that no batch is padded."""

    positions: list[np.ndarray]  # (n, 3), in Angstrom
    elements: list[np.ndarray]  # (n,), indices into `ELEMENTS`

    @property
    def groups(self) -> torch.Tensor:
        """The number of atoms of each molecule."""
        return torch.tensor([len(e) for e in self.elements])

    def __len__(self) -> int:
        return len(self.elements)

    def __getitem__(self, indices: list[int]) -> dict[str, torch.Tensor]:
        """Return a batch of molecules of one size."""
        parts = {"position": self.positions, "element": self.elements}
        return {k: torch.from_numpy(np.stack([v[i] for i in indices])) for k, v in parts.items()}


@tagged("molecules/qm9")
@dataclass(frozen=True)
class QM9(DataConfig):
    """130,831 molecules of at most nine atoms besides hydrogen (Ramakrishnan et al., 2014)."""

    source = "qm9pack"

    def build(self, split: Literal["train", "test"] = "train") -> Molecules:
        """Read one split.

        Raises:
            ValueError: Where the package `qm9pack` is missing.
        """
        found = find_spec("qm9pack")
        if found is None or found.origin is None:
            raise ValueError("QM9 is read from the package qm9pack: uv pip install qm9pack")
        elements, numbers = [], []
        csv.field_size_limit(2**24)
        strip = str.maketrans("", "", "[]' ")
        for file in sorted((Path(found.origin).parent / "data").glob("qm9_part?.csv")):
            with file.open(newline="") as lines:
                rows = csv.reader(lines)
                columns = next(rows)
                named, placed = columns.index("Elements"), columns.index("XYZ_Ang")
                for row in rows:
                    names = row[named].translate(strip).split(",")
                    elements.append(np.array([ELEMENTS.index(name) for name in names]))
                    numbers.append(row[placed].translate(strip))
        positions = np.fromstring(",".join(numbers), np.float32, sep=",").reshape(-1, 3)
        positions = np.split(positions, np.cumsum([len(e) for e in elements])[:-1])
        order = np.random.default_rng(0).permutation(len(elements))
        chosen = order[HELD_OUT:] if split == "train" else order[:HELD_OUT]
        return Molecules([positions[i] for i in chosen], [elements[i] for i in chosen])
