"""Chains: what a structure file holds of a protein, and all that the other modules pass around.

A chain is n residues with four atoms each, N, CA, C and O, in Angstrom. A residue is one of the 20
canonical ones, numbered in the alphabetical order of their letters, or unknown, which is 20.
"""

import math
import string
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32, UInt8

__all__ = [
    "ATOMS",
    "LETTERS",
    "LONGEST_BOND",
    "LONGEST_STEP",
    "MOST_RESIDUES",
    "SHORTEST_BOND",
    "UNKNOWN",
    "Chain",
    "bonded",
    "check_bonds",
    "check_frames",
    "check_whole",
    "codes_of",
]

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
"""The letters of residues 0 to 19."""

UNKNOWN = len(LETTERS)
"""The residue of which only the backbone is known."""

ATOMS = ("N", "CA", "C", "O")
"""The backbone atoms of a residue, in the order of a chain's second axis."""

MOST_RESIDUES = 10_000
"""Of a chain that is asked for; no network here holds more."""

SHORTEST_BOND, LONGEST_BOND = 0.5, 2.0
"""Angstrom between which two atoms are bonded: 1.33 are typical from C to N."""

LONGEST_STEP = 4.2
"""Angstrom from CA to CA beyond which a chain is broken; 3.8 is typical."""


@dataclass(frozen=True, eq=False)
class Chain:
    """A protein chain.

    Attributes:
        name: Of its file, and of the chain where the file has several.
        atoms: Positions of N, CA, C and O in Angstrom, NaN where one is missing.
        residues: 0 to 19 in the order of `LETTERS`, 20 for unknown.
        index: Residue numbers, those of the authors where a file has two kinds.
        resolution: Of the structure, in Angstrom; NaN where it is not known.
        letter: Of the chain in its file, where it has one.
        insertions: The insertion code of each residue, a space where it has none: 52 and 52A are
            `" A"`. Empty where no residue has one.

    Example:
        >>> atoms = np.zeros((3, 4, 3), dtype=np.float32)
        >>> Chain("x", atoms, codes_of("MA?"), np.arange(3, dtype=np.int32)).sequence
        'MAX'
    """

    name: str
    atoms: Float32[np.ndarray, "n 4 3"]
    residues: UInt8[np.ndarray, " n"]
    index: Int32[np.ndarray, " n"]
    resolution: float = math.nan
    letter: str = ""
    insertions: str = ""

    def __len__(self) -> int:
        """Return the number of residues."""
        return len(self.residues)

    def only(self, rows: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> "Chain":
        """Return some of the residues: those where a mask is true, or at some positions."""
        atoms, residues, index = self.atoms[rows], self.residues[rows], self.index[rows]
        codes = "".join(np.array(list(self.insertions))[rows]) if self.insertions else ""
        return replace(self, atoms=atoms, residues=residues, index=index, insertions=codes)

    @property
    def sequence(self) -> str:
        """One letter a residue, `X` for unknown."""
        return "".join((LETTERS + "X")[code] for code in self.residues)

    @property
    def insertion_codes(self) -> list[str]:
        """What tells residues of one number apart: its own codes, else "", A, B and on.

        Raises:
            ValueError: When there are more of one number than letters.
        """
        own = [code.strip() for code in self.insertions]
        if own and len({*zip(self.index.tolist(), own, strict=True)}) == len(self):
            return own
        positions = np.arange(len(self))
        starts = np.diff(self.index, prepend=self.index[:1] - 1) != 0
        repeat = positions - np.maximum.accumulate(np.where(starts, positions, 0))
        codes = ["", *string.ascii_uppercase]
        if repeat.max(initial=0) >= len(codes):
            raise ValueError(f"{self.name}: more than {len(codes)} residues share a number")
        return [codes[i] for i in repeat]

    @property
    def steps(self) -> Float32[np.ndarray, " m"]:
        """Angstrom from each CA to the next; NaN where one is missing."""
        return np.linalg.norm(np.diff(self.atoms[:, 1], axis=0), axis=-1)

    @property
    def breaks(self) -> Bool[np.ndarray, " m"]:
        """Whether the chain is broken between a residue and the next.

        It is where a number is left out and no bond is seen, or where the two are too far apart.
        Residues that share a number (52 and 52A) are neighbours; numbers that follow a relative's
        leap within a chain that is whole.
        """
        gap = np.diff(self.index)
        leaps = ((gap < 0) | (gap > 1)) & ~bonded(self.atoms)
        return leaps | (self.steps > LONGEST_STEP)

    @property
    def has_frame(self) -> Bool[np.ndarray, " n"]:
        """Whether N, CA and C of a residue are there."""
        return np.asarray(np.isfinite(self.atoms[:, :3]).all((1, 2)))

    @property
    def has_bonds(self) -> Bool[np.ndarray, " n"]:
        """Whether CA is bonded to N and C, and these two not to each other.

        Among 1,888 chains of the data bank they are 1.24 to 1.71 Angstrom long; N is 1.89 or more
        from C.
        """
        n, ca, c = self.atoms[:, 0], self.atoms[:, 1], self.atoms[:, 2]
        sides = np.linalg.norm(np.stack([n - ca, c - ca]), axis=-1)
        bonds = ((sides > SHORTEST_BOND) & (sides < LONGEST_BOND)).all(0)
        return bonds & (np.linalg.norm(n - c, axis=-1) > SHORTEST_BOND)

    @property
    def positions(self) -> Int32[np.ndarray, " n"]:
        """Numbers that say what networks see: up by one along the chain, by more over a break."""
        ups = np.where(self.breaks, np.diff(self.index).clip(2), 1)
        return np.concatenate([self.index[:1], self.index[:1] + ups.cumsum()]).astype(np.int32)


def check_frames(chain: Chain) -> None:
    """Reject a chain with a residue that lacks N, CA or C, or whose three are not bonded.

    Raises:
        ValueError: When there is one: positions of zeros, or in nanometres, are not a frame.
    """
    if not chain.has_frame.all():
        number = chain.index[np.flatnonzero(~chain.has_frame)[0]]
        raise ValueError(f"residue {number} of {chain.name} lacks one of N, CA and C")
    check_bonds(chain)


def check_bonds(chain: Chain) -> None:
    """Reject a chain with a residue whose N, CA and C are there and not bonded.

    Raises:
        ValueError: When there is one.
    """
    odd = np.flatnonzero(chain.has_frame & ~chain.has_bonds)
    if len(odd):
        number = chain.index[odd[0]]
        raise ValueError(
            f"residue {number} of {chain.name} has N, CA and C where no bonds are: are its "
            "positions in Angstrom?"
        )


def check_whole(chain: Chain) -> None:
    """Reject a chain that is broken.

    Raises:
        ValueError: When it is: residues would be taken for neighbours that are none.
    """
    broken = np.flatnonzero(chain.breaks)
    if len(broken):
        raise ValueError(f"{chain.name} is broken after residue {chain.index[broken[0]]}")


def bonded(atoms: Float[np.ndarray, "n 4 3"]) -> Bool[np.ndarray, " m"]:
    """Return whether each C is bonded to the next N, by their distance: 1.33 A is typical."""
    apart = np.linalg.norm(atoms[1:, 0] - atoms[:-1, 2], axis=-1)
    return (apart > SHORTEST_BOND) & (apart < LONGEST_BOND)


def codes_of(letters: str) -> UInt8[np.ndarray, " n"]:
    """Return the residues that letters stand for; what is not a canonical letter is unknown.

    Example:
        >>> codes_of("ACX")
        array([ 0,  1, 20], dtype=uint8)
    """
    found = (LETTERS.find(letter) if letter else -1 for letter in letters)
    return np.array([UNKNOWN if code < 0 else code for code in found], dtype=np.uint8)
