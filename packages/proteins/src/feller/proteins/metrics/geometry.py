"""Whether a backbone is one: its bonds, its angles, its hands, and whether it runs into itself.

Native figures, for comparison: of 187 crystal chains, CA-CA 3.803 +- 0.054 Angstrom, omega trans
99.7%, right-handed 91%, 0.0014 clashes a residue.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from feller.proteins.metrics.backbones import Backbones, angle, backbones, dihedral, distance
from feller.proteins.metrics.estimates import Tally
from feller.proteins.structure.chain import Chain

__all__ = [
    "NATIVE",
    "bond_validity",
    "ca_validity",
    "clashes",
    "missing_atoms",
    "outside_native",
    "right_handed",
    "trans",
]

NATIVE = {
    "N-CA": (1.424, 1.501),
    "CA-C": (1.487, 1.565),
    "C-N": (1.304, 1.362),
    "N-CA-C": (103.2, 118.4),
    "CA-C-N": (113.4, 120.6),
    "C-N-CA": (116.7, 126.5),
}
"""From the 0.5% to the 99.5% quantile, in Angstrom and degrees, of 800 chains of the PDB."""

CLASH, APART = 3.6, 3
CA_LINK, CA_SLACK = 3.803, 0.1


def missing_atoms(chains: Sequence[Chain]) -> Tally:
    """Return the fraction of atoms that have no finite position."""
    held = backbones(chains)
    missing = np.isnan(held.atoms).any(-1).sum(-1)
    return held.tally(missing, np.full(len(missing), 4))


def bond_validity(chains: Sequence[Chain], shortest: float = 1.25, longest: float = 1.42) -> Tally:
    """Return the fraction of links whose C-N bond has a valid length, in Angstrom."""
    held = backbones(chains)
    length = distance(held.atoms[:, 2], held.ahead(held.atoms[:, 0]))
    return held.fraction(length, _between(length, shortest, longest))


def outside_native(chains: Sequence[Chain]) -> dict[str, Tally]:
    """Return for each bond and angle of `NATIVE` the fraction outside its native range.

    It is 1% for native chains; of ideal frames, N-CA, CA-C and N-CA-C never vary.
    """
    held = backbones(chains)
    n, ca, c = held.atoms[:, 0], held.atoms[:, 1], held.atoms[:, 2]
    next_n, next_ca = held.ahead(n), held.ahead(ca)
    measured = {
        "N-CA": distance(n, ca),
        "CA-C": distance(ca, c),
        "C-N": distance(c, next_n),
        "N-CA-C": angle(n, ca, c),
        "CA-C-N": angle(ca, c, next_n),
        "C-N-CA": angle(c, next_n, next_ca),
    }
    return {k: held.fraction(v, ~_between(v, *NATIVE[k])) for k, v in measured.items()}


def ca_validity(chains: Sequence[Chain], slack: float = CA_SLACK) -> Tally:
    """Return the fraction of links whose CA are 3.803 Angstrom apart, up to `slack`.

    The link before a cis-proline, of 2.9 Angstrom, is not: about three in a thousand native ones.
    """
    held = backbones(chains)
    length = distance(held.ca, held.ahead(held.ca))
    return held.fraction(length, np.abs(length - CA_LINK) < slack)


def clashes(chains: Sequence[Chain], nearest: float = CLASH, apart: int = APART) -> Tally:
    """Return the pairs of CA that are too near, per residue.

    Args:
        chains: The chains.
        nearest: Below it a pair clashes, in Angstrom.
        apart: At least so far along the chain a pair is apart.
    """
    held = [chain.atoms[:, 1].astype(np.float64) for chain in chains]
    pairs = [_near_pairs(ca, nearest, apart) for ca in held]
    return Tally(
        np.array(pairs, float), np.array([np.isfinite(ca).all(-1).sum() for ca in held], float)
    )


def right_handed(chains: Sequence[Chain]) -> Tally:
    """Return the fraction of right-handed turns among the turns of helices.

    A turn is four CA in a row; right-handed ones have a dihedral of 30 to 80 degrees, left-handed
    ones of -80 to -30. Mirrored proteins have left-handed helices.
    """
    held = backbones(chains)
    turn = _ca_turns(held)
    right, left = _between(turn, 30.0, 80.0), _between(turn, -80.0, -30.0)
    return held.tally(right, right | left)


def trans(chains: Sequence[Chain]) -> Tally:
    """Return the fraction of links whose omega is more than 90 degrees to either side."""
    held = backbones(chains)
    omega = held.dihedrals()[2]
    return held.fraction(omega, np.abs(omega) > 90)


def _ca_turns(held: Backbones) -> np.ndarray:
    return dihedral(held.ca, *(held.ahead(held.ca, step) for step in (1, 2, 3)))


def _near_pairs(ca: np.ndarray, nearest: float, apart: int) -> int:
    square = np.square(ca[:, None] - ca[None]).sum(-1)
    return int(np.triu(square < nearest**2, apart).sum())


def _between(values: np.ndarray, low: float, high: float) -> Bool[np.ndarray, " r"]:
    return (values >= low) & (values <= high)
