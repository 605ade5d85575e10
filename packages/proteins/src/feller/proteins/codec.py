"""The codec of proteins, between atoms with residues and centred frames.

A raw batch is what `ProteinData` reads: `atoms` `(b, n, 4, 3)` in Angstrom, `residues` and `index`
`(b, n)`. A state has the factors `translation` `(b, n, 3)` in nanometres, about their mean,
`rotation` `(b, n, 3, 3)` and `residue` `(b, n)`, where 20 is a mask. The condition is the index of
the residues: where it leaps the chain is broken.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from feller.core.codec import Codec
from feller.core.config import tagged
from feller.core.typing import Rng
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.frames import atoms_from_frames, frames_from_atoms

__all__ = ["ProteinCodec"]

State = dict[str, Tensor]


@tagged("proteins/codec")
@dataclass(frozen=True)
class ProteinCodec(Codec):
    """Backbones with canonical residues; unknown residues are masks."""

    def encode(self, raw: Mapping[str, Tensor], rng: Rng = None) -> tuple[State, Tensor]:
        """Return frames about their centre, and the index of the residues."""
        translation, rotation = frames_from_atoms(raw["atoms"])
        translation = translation - translation.mean(-2, keepdim=True)
        state = {"translation": translation, "rotation": rotation, "residue": raw["residues"]}
        return state, raw["index"]

    def decode(self, z: Mapping[str, Tensor]) -> list[Chain]:
        """Return a chain of each row, numbered from 1."""
        atoms = atoms_from_frames(z["translation"], z["rotation"]).cpu().numpy()
        residues = z["residue"].cpu().numpy().astype(np.uint8)
        index = np.arange(1, atoms.shape[1] + 1, dtype=np.int32)
        return [
            Chain(f"sample_{i:04}", a.astype(np.float32), r, index)
            for i, (a, r) in enumerate(zip(atoms, residues, strict=True))
        ]

    def drop(self, condition: Tensor, where: Bool[Tensor, " b"]) -> Tensor:
        """Refuse: there are no labels.

        Raises:
            ValueError: Always.
        """
        raise ValueError("proteins have no condition to drop: set training.condition_drop to 0")


def consecutive(shape: torch.Size, like: Tensor) -> Tensor:
    """Return the index of residues of unbroken chains."""
    return torch.arange(shape[1], device=like.device).expand(shape[:2])
