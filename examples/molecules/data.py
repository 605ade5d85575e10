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
HELD_OUT = 13_083  # molecules of the test split: every tenth, drawn once


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
        parts = {"position": self.positions, "element": self.elements}
        return {k: torch.from_numpy(np.stack([v[i] for i in indices])) for k, v in parts.items()}


@tagged("molecules/qm9")
@dataclass(frozen=True)
class QM9(DataConfig):
    """130,831 molecules of at most nine atoms besides hydrogen (Ramakrishnan et al., 2014)."""

    def build(self, split: Literal["train", "test"] = "train") -> Molecules:
        found = find_spec("qm9pack")
        if found is None or found.origin is None:
            raise ValueError("QM9 is read from the package qm9pack: uv pip install qm9pack")
        elements, numbers, bare = [], [], str.maketrans("", "", "[]' ")
        csv.field_size_limit(2**24)
        for file in sorted((Path(found.origin).parent / "data").glob("qm9_part?.csv")):
            with file.open(newline="") as lines:
                rows = csv.reader(lines)
                names = next(rows)
                named, placed = names.index("Elements"), names.index("XYZ_Ang")
                for row in rows:
                    atoms = row[named].translate(bare).split(",")
                    elements.append(np.array([ELEMENTS.index(atom) for atom in atoms]))
                    numbers.append(row[placed].translate(bare))
        flat = np.fromstring(",".join(numbers), np.float32, sep=",").reshape(-1, 3)
        positions = np.split(flat, np.cumsum([len(e) for e in elements])[:-1])
        order = np.random.default_rng(0).permutation(len(elements))
        chosen = order[HELD_OUT:] if split == "train" else order[:HELD_OUT]
        return Molecules([positions[i] for i in chosen], [elements[i] for i in chosen])


@tagged("molecules/methane")
@dataclass(frozen=True)
class Methane(DataConfig):
    """CH4, many times, for a first look without `qm9pack`."""

    def build(self, split: Literal["train", "test"] = "train") -> Molecules:
        corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.09 / 3**0.5
        place = np.concatenate([np.zeros((1, 3)), corners]).astype(np.float32)
        return Molecules([place] * 64, [np.array([1, 0, 0, 0, 0])] * 64)
