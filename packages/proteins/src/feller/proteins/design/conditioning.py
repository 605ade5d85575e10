"""What is known of a design before it is drawn: the one way to fold, thread, scaffold and inpaint.

An element that is given stands at t = 1 and stays: a sequence alone is folded, a backbone alone is
given a sequence, a motif is built around. The rest begins at the source. Frames have the atoms of
ideal residues; a sample has the given atoms at their positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from feller.proteins.design.contigs import Contigs
from feller.proteins.structure.chain import (
    MOST_RESIDUES,
    UNKNOWN,
    Chain,
    check_frames,
    check_whole,
)
from feller.proteins.structure.frames import (
    ANGSTROM,
    frames_from_atoms,
    with_missing_oxygens,
    with_oxygens,
)

__all__ = ["Given", "backbone_of", "check_positive", "motif_of", "nothing", "sequence_of"]


@dataclass(frozen=True)
class Given:
    """The known elements of a chain of n residues.

    Attributes:
        state: The factors `translation` `(n, 3)` in nanometres, `rotation` `(n, 3, 3)` and
            `residue` `(n,)`; what is not known holds anything.
        known: Which elements are, `(n,)` for each factor.
        atoms: N, CA, C and O of known frames in Angstrom, about the middle of their frames; NaN
            where there are none.
        kept: For each residue of a scaffold the chain and the number it has in the motif, None
            where it is new; nothing where there is no motif.
        like: The chain whose place and numbers a sample has; None for about the middle, from 1 on.
    """

    state: dict[str, Tensor]
    known: dict[str, Bool[Tensor, " n"]]
    atoms: Float32[np.ndarray, "n 4 3"]
    kept: tuple[tuple[str, int] | None, ...] = ()
    like: Chain | None = None

    def __len__(self) -> int:
        """Return the number of residues."""
        return len(self.state["residue"])

    def restored(self, chain: Chain) -> Chain:
        """Return a sample with the atoms that were given, instead of those of ideal residues."""
        if self.like is not None:
            whole = with_missing_oxygens(torch.from_numpy(self.like.atoms)).numpy()
            return replace(self.like, name=chain.name, atoms=whole, residues=chain.residues)
        given, atoms = torch.from_numpy(self.atoms), torch.from_numpy(chain.atoms)
        # First without oxygens: where one is that was not given depends on the atoms that were.
        three = torch.where(given.isnan(), atoms, given)[:, :3]
        atoms = with_oxygens(three, frames_from_atoms(three)[1])
        return replace(chain, atoms=torch.where(given.isnan(), atoms, given).numpy())


def check_positive(name: str, value: Any) -> None:
    """Reject what is not a whole number of at least 1.

    Raises:
        ValueError: When it is not.

    Example:
        >>> check_positive("length", 8)
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} is a whole number of at least 1, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} is at least 1, not {value}")


def nothing(length: int) -> Given:
    """Return a chain of which the length alone is known.

    Raises:
        ValueError: When there is no residue, more than a chain has, or no whole number of them.
    """
    check_positive("length", length)
    if length > MOST_RESIDUES:
        raise ValueError(f"length is at most {MOST_RESIDUES:,}, not {length:,}")
    return _given(_missing(int(length)), torch.full((int(length),), UNKNOWN))


def sequence_of(chain: Chain) -> Given:
    """Return a chain whose residues are known: what is drawn is a fold.

    Unknown residues are drawn along.
    """
    return _given(_missing(len(chain)), _residues(chain))


def backbone_of(chain: Chain, keep: Sequence[int] = ()) -> Given:
    """Return a chain whose frames are known, about their middle: what is drawn is a sequence.

    Args:
        chain: The chain.
        keep: Positions of residues that are known too, counted from 0.

    Raises:
        ValueError: When an atom is missing, or the chain is broken.
    """
    check_frames(chain)
    check_whole(chain)
    residue = torch.full((len(chain),), UNKNOWN)
    residue[list(keep)] = _residues(chain)[list(keep)]
    return replace(_given(chain.atoms, residue), like=chain)


def motif_of(contigs: Contigs, parts: list[Chain], lengths: list[int]) -> Given:
    """Return a chain that keeps the segments of a motif, about their middle.

    Args:
        contigs: The segments.
        parts: The kept ones in their order, from `Contigs.motif`.
        lengths: The length of each segment, from `Contigs.lengths`.

    Raises:
        ValueError: When an atom is missing.
    """
    atoms, residue = _missing(sum(lengths)), torch.full((sum(lengths),), UNKNOWN)
    kept: list[tuple[str, int] | None] = [None] * sum(lengths)
    start, left = 0, iter(parts)
    for segment, length in zip(contigs.segments, lengths, strict=True):
        for kept_segment in segment.kept:
            part, here = next(left), slice(start, start + length)
            check_frames(part)
            atoms[here], residue[here] = part.atoms, _residues(part)
            kept[here] = [(kept_segment.chain, number) for number in part.index.tolist()]
            # Where the last oxygen is depends on the next residue, which is another than it was.
            atoms[here.stop - 1, 3] = np.nan
        start += length
    return replace(_given(atoms, residue), kept=tuple(kept))


def _given(atoms: Float32[np.ndarray, "n 4 3"], residue: Tensor) -> Given:
    """Return residues, and the frames of atoms that are not NaN, about their middle."""
    translation, rotation = frames_from_atoms(torch.from_numpy(atoms))
    frame = ~translation.isnan().any(-1)
    middle = translation[frame].mean(0) if frame.any() else torch.zeros(3)
    state = {
        "translation": torch.where(frame[:, None], translation - middle, 0.0),
        "rotation": torch.where(frame[:, None, None], rotation, torch.eye(3)),
        "residue": residue,
    }
    known = {"translation": frame, "rotation": frame, "residue": residue != UNKNOWN}
    return Given(state, known, atoms - (middle / ANGSTROM).numpy())


def _missing(n: int) -> Float32[np.ndarray, "n 4 3"]:
    return np.full((n, 4, 3), np.nan, dtype=np.float32)


def _residues(chain: Chain) -> Tensor:
    return torch.from_numpy(chain.residues.astype("int64"))
