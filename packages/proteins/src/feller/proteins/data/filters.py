"""Which chains are fit to learn from, and why the others are not.

The secondary structure is that of P-SEA, which calls more coil than DSSP does. The radius of
gyration of the CA atoms of a native chain of L residues is 2.60 L^0.352 Angstrom, its logarithm
spread by 0.098 (187 chains of 40 to 256 residues).
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from feller.core.config import tagged
from feller.proteins.structure.chain import LONGEST_STEP, UNKNOWN, Chain
from feller.proteins.structure.psea import psea
from feller.proteins.structure.reading import Refusal

__all__ = ["Filters", "coil_fraction", "compactness"]


@tagged("proteins/filters")
@dataclass(frozen=True, kw_only=True)
class Filters:
    """Limits on the chains used, tried in this order; values equal to a limit pass.

    Attributes:
        min_length: Fewest residues.
        max_length: Most residues.
        max_missing: Largest fraction of residues that lack one of N, CA, C and O, and of those that
            have N, CA and C without bonds. Data leave out those that lack more than O, as gaps.
        max_step: Longest step from CA to CA, in Angstrom.
        max_resolution: Worst resolution in Angstrom, for structures that state one.
        min_known: Smallest fraction of canonical residues.
        max_gyration: Largest size of the logarithm of the radius of gyration over what is typical
            at that length.
        max_coil: Largest fraction of residues that P-SEA puts neither in a helix nor in a strand.

    Example:
        >>> atoms = np.zeros((2, 4, 3), dtype=np.float32)
        >>> chain = Chain("x", atoms, np.zeros(2, dtype=np.uint8), np.arange(2, dtype=np.int32))
        >>> Filters().refusal(chain).reason
        '2 residues, fewer than 40'
    """

    min_length: int = 40
    max_length: int = 512
    max_missing: float = 0.0
    max_step: float = LONGEST_STEP
    max_resolution: float = 5.0
    min_known: float = 0.9
    max_gyration: float = 0.3
    max_coil: float = 0.75

    def __post_init__(self) -> None:
        """Check the lengths."""
        if not 1 <= self.min_length <= self.max_length:
            raise ValueError(
                f"lengths go from min_length, at least 1, to max_length: "
                f"{self.min_length}, {self.max_length}"
            )

    def refusal(self, chain: Chain) -> Refusal | None:
        """Say why a chain is not taken; nothing when it is."""
        for kind, reason in self._faults(chain):
            return Refusal(chain.name, reason, kind)
        return None

    def sift(
        self, found: Iterable[Chain | Refusal], counts: Counter[str]
    ) -> Iterator[Chain | Refusal]:
        """Put a refusal instead of each chain that is not taken.

        Args:
            found: Chains, and refusals, which stay.
            counts: Counts what is taken, and each kind of refusal.
        """
        for item in found:
            refusal = item if isinstance(item, Refusal) else self.refusal(item)
            counts[refusal.kind if refusal else "taken"] += 1
            yield refusal or item

    def _faults(self, chain: Chain) -> Iterator[tuple[str, str]]:
        """Yield the faults of a chain, a kind and a reason each, the cheapest to find first."""
        n = len(chain)
        if n < self.min_length:
            yield "too short", f"{n} residues, fewer than {self.min_length}"
        if n > self.max_length:
            yield "too long", f"{n} residues, more than {self.max_length}"
        missing = float(np.isnan(chain.atoms).any(axis=(1, 2)).mean())
        if missing > self.max_missing:
            yield "missing atoms", f"{missing:.1%} of residues lack a backbone atom"
        step = float(np.nan_to_num(chain.steps).max(initial=0.0))
        if step > self.max_step:
            yield "broken", f"{step:.1f} Angstrom from CA to CA, more than {self.max_step}"
        if chain.resolution > self.max_resolution:
            yield "resolution", f"{chain.resolution} Angstrom, worse than {self.max_resolution}"
        known = float((chain.residues != UNKNOWN).mean())
        if known < self.min_known:
            yield "unknown residues", f"{known:.1%} of residues are known"
        size = compactness(chain)
        if not abs(size) <= self.max_gyration:
            usual = f"{math.exp(size):.2f} times what is usual at {n} residues"
            yield "gyration", f"the radius of gyration is {usual}"
        if self.max_coil < 1 and (coil := coil_fraction(chain)) > self.max_coil:
            yield "coil", f"{coil:.1%} of residues are coil"
        odd = float((chain.has_frame & ~chain.has_bonds).mean())
        if odd > self.max_missing:
            yield "no bonds", f"{odd:.1%} of residues have N, CA and C where no bonds are"


def compactness(chain: Chain) -> float:
    """Return the logarithm of the radius of gyration of CA over what is typical at that length.

    It is 0 for a typical chain, above for an elongated one; -inf where all atoms coincide,
    NaN without atoms.
    """
    ca = chain.atoms[:, 1].astype(np.float64)
    ca = ca[~np.isnan(ca).any(axis=-1)]
    if not len(ca):
        return math.nan
    squared = float(((ca - ca.mean(axis=0)) ** 2).sum(axis=-1).mean())
    usual = 2.60 * len(chain) ** 0.352
    return math.log(math.sqrt(squared) / usual) if squared > 0 else -math.inf


def coil_fraction(chain: Chain) -> float:
    """Return the fraction of residues that are coil by P-SEA, of those that have a CA."""
    n = len(chain)
    letters = psea(chain.atoms[:, 1], np.arange(n) + np.append(0, np.cumsum(chain.breaks))[:n])
    known = letters != "-"
    return float((letters[known] == "C").mean()) if known.any() else 1.0
