"""What is known of a design before it is drawn: the one way to fold, thread, scaffold and inpaint.

An element that is given stands at t = 1 and stays: a sequence alone is folded, a backbone alone is
given a sequence, a motif is built around. The rest begins at the source.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from feller.proteins.chains import UNKNOWN, Chain
from feller.proteins.contigs import Contigs, Kept
from feller.proteins.frames import frames_from_atoms

__all__ = ["Given", "backbone_of", "motif_of", "nothing", "sequence_of"]


@dataclass(frozen=True)
class Given:
    """The known elements of a chain of n residues.

    Attributes:
        state: The factors `translation` `(n, 3)` in nanometres, `rotation` `(n, 3, 3)` and
            `residue` `(n,)`; what is not known holds anything.
        known: Which elements are, `(n,)` for each factor.
    """

    state: dict[str, Tensor]
    known: dict[str, Bool[Tensor, " n"]]

    def __len__(self) -> int:
        """Return the number of residues."""
        return len(self.state["residue"])


def nothing(length: int) -> Given:
    """Return a chain of which the length alone is known.

    Raises:
        ValueError: When there is no residue.
    """
    if length < 1:
        raise ValueError(f"length is at least 1, not {length}")
    return _given(torch.zeros(length, 3), torch.eye(3).repeat(length, 1, 1), None, frame=None)


def sequence_of(chain: Chain) -> Given:
    """Return a chain whose residues are known: what is drawn is a fold.

    Unknown residues are drawn along.
    """
    n = len(chain)
    return _given(torch.zeros(n, 3), torch.eye(3).repeat(n, 1, 1), _residues(chain), frame=None)


def backbone_of(chain: Chain) -> Given:
    """Return a chain whose frames are known, about their middle: what is drawn is a sequence.

    Raises:
        ValueError: When an atom is missing.
    """
    translation, rotation = _frames(chain)
    return _given(translation, rotation, None, frame=torch.ones(len(chain), dtype=torch.bool))


def motif_of(contigs: Contigs, parts: list[Chain], lengths: list[int]) -> Given:
    """Return a chain that keeps the segments of a motif, about their middle.

    Args:
        contigs: The segments.
        parts: The kept ones in their order, from `Contigs.motif`.
        lengths: The length of each segment, from `Contigs.lengths`.

    Raises:
        ValueError: When an atom is missing.
    """
    atoms = [torch.from_numpy(part.atoms) for part in parts]
    translation, rotation = (
        _frames_of(torch.cat(atoms)) if atoms else (torch.zeros(0, 3), torch.zeros(0, 3, 3))
    )
    place, turn = torch.zeros(sum(lengths), 3), torch.eye(3).repeat(sum(lengths), 1, 1)
    residue, kept = (
        torch.full((sum(lengths),), UNKNOWN),
        torch.zeros(sum(lengths), dtype=torch.bool),
    )
    start = taken = 0
    for segment, length in zip(contigs.segments, lengths, strict=True):
        if isinstance(segment, Kept):
            here, there = slice(start, start + length), slice(taken, taken + length)
            place[here], turn[here], kept[here] = translation[there], rotation[there], True
            taken += length
        start += length
    residue[kept] = torch.cat([_residues(part) for part in parts]) if parts else residue[kept]
    return _given(place, turn, residue, frame=kept)


def _given(
    translation: Tensor, rotation: Tensor, residue: Tensor | None, *, frame: Tensor | None
) -> Given:
    n = len(translation)
    frame = torch.zeros(n, dtype=torch.bool) if frame is None else frame
    residue = torch.full((n,), UNKNOWN) if residue is None else residue
    state = {"translation": translation, "rotation": rotation, "residue": residue}
    return Given(state, {"translation": frame, "rotation": frame, "residue": residue != UNKNOWN})


def _residues(chain: Chain) -> Tensor:
    return torch.from_numpy(chain.residues.astype("int64"))


def _frames(chain: Chain) -> tuple[Tensor, Tensor]:
    atoms = torch.from_numpy(chain.atoms)
    lacking = atoms[:, :3].isnan().any(-1).any(-1)
    if lacking.any():
        number = chain.index[int(lacking.nonzero()[0])]
        raise ValueError(f"residue {number} of {chain.name} lacks one of N, CA and C")
    return _frames_of(atoms)


def _frames_of(atoms: Tensor) -> tuple[Tensor, Tensor]:
    translation, rotation = frames_from_atoms(atoms)
    return translation - translation.mean(0), rotation
