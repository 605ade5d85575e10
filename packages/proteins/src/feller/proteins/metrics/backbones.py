r"""Chains end to end, and the lengths and angles of their atoms.

Residues of all chains stand in one array of r rows; row i belongs to chain c_i, and is linked to
row i + 1 when both are of one chain and their numbers follow each other (or are equal, as those of
inserted residues are). A bond that is too long is still a link: it is what bond figures are about.
Coordinates that are not finite are missing; whatever needs one is NaN and counts nowhere.

Units: Angstrom and degrees. phi, psi and omega are those of IUPAC (Biochemistry 9, 1970): omega of
row i is that of the link from i to i + 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from feller.proteins.metrics.estimates import Tally
from feller.proteins.structure.chain import Chain, bonded

__all__ = ["Backbones", "angle", "backbones", "dihedral", "distance"]

Points = Float[np.ndarray, "*batch 3"]
Numbers = Float[np.ndarray, "*batch"]


def distance(a: Points, b: Points) -> Numbers:
    """Return |a - b|."""
    return np.asarray(np.sqrt(np.square(a - b).sum(-1)))


def angle(a: Points, b: Points, c: Points) -> Numbers:
    """Return the angle at `b` in degrees; 0 where two points are one.

    Example:
        >>> float(angle(np.array([1.0, 0, 0]), np.zeros(3), np.array([0, 2.0, 0])))
        90.0
    """
    u, v = a - b, c - b
    sine = np.sqrt(np.square(np.cross(u, v)).sum(-1))
    return np.asarray(np.degrees(np.arctan2(sine, (u * v).sum(-1))))


def dihedral(a: Points, b: Points, c: Points, d: Points) -> Numbers:
    """Return the turn about b-c from `a` to `d` in degrees, in (-180, 180]; positive clockwise.

    Example:
        >>> a, b, c, d = np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 1]])
        >>> float(dihedral(a, b, c, d))
        90.0
    """
    u, v, w = b - a, c - b, d - c
    side = np.cross(v, w)
    up = np.sqrt(np.square(v).sum(-1)) * (u * side).sum(-1)
    return np.asarray(np.degrees(np.arctan2(up, (np.cross(u, v) * side).sum(-1))))


@dataclass(frozen=True)
class Backbones:
    """The atoms of some chains, end to end.

    Attributes:
        atoms: N, CA, C and O of each residue; NaN where missing.
        chain: The number of its chain.
        linked: Whether the next row is its neighbour.
        chains: How many chains there are.
    """

    atoms: Float[np.ndarray, "r 4 3"]
    chain: Int[np.ndarray, " r"]
    linked: Bool[np.ndarray, " r"]
    chains: int

    @property
    def ca(self) -> Float[np.ndarray, "r 3"]:
        """Positions of the CA."""
        return self.atoms[:, 1]

    def ahead(self, values: Float[np.ndarray, "r *rest"], steps: int = 1) -> np.ndarray:
        """Return what stands so many links further on; NaN where the chain ends before."""
        moved, last = np.full_like(values, np.nan), max(0, len(values) - steps)
        reach = np.ones(last, dtype=bool)
        for step in range(steps):
            reach &= self.linked[step : last + step]
        moved[:last][reach] = values[steps:][reach]
        return moved

    def dihedrals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return phi, psi and omega of each residue, NaN where the chain does not give them."""
        n, ca, c = self.atoms[:, 0], self.atoms[:, 1], self.atoms[:, 2]
        next_n, next_ca, next_c = self.ahead(n), self.ahead(ca), self.ahead(c)
        phi = np.full(len(n), np.nan)
        phi[1:] = dihedral(c, next_n, next_ca, next_c)[:-1]
        return phi, dihedral(n, ca, c, next_n), dihedral(ca, c, next_n, next_ca)

    def tally(self, hits: np.ndarray, trials: np.ndarray) -> Tally:
        """Sum what residues count, chain by chain."""
        return Tally(self._sums(hits), self._sums(trials))

    def fraction(self, values: np.ndarray, hit: Bool[np.ndarray, " r"]) -> Tally:
        """Return in how many rows with a value it is a hit."""
        known = np.isfinite(values)
        return self.tally(hit & known, known)

    def _sums(self, values: np.ndarray) -> Float[np.ndarray, " chains"]:
        return np.bincount(self.chain, values.astype(np.float64), self.chains)


def backbones(chains: Sequence[Chain]) -> Backbones:
    """Put chains end to end.

    Raises:
        ValueError: When there are none.
    """
    if not chains:
        raise ValueError("there are no chains to measure: at least one is needed")
    atoms = np.concatenate([chain.atoms for chain in chains]).astype(np.float64)
    lengths = [len(chain.atoms) for chain in chains]
    number = np.repeat(np.arange(len(chains)), lengths)
    steps = np.diff(np.concatenate([chain.index for chain in chains]).astype(np.int64))
    linked = np.zeros(len(atoms), dtype=bool)
    near = (steps == 0) | (steps == 1) | bonded(atoms)
    linked[:-1] = (np.diff(number) == 0) & near
    atoms[~np.isfinite(atoms).all(-1)] = np.nan
    return Backbones(atoms, number, linked, len(chains))
