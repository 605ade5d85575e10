"""Ramachandran: how the chain turns at each residue, as counts over a grid of phi and psi."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from feller.proteins.metrics.backbones import Backbones, backbones
from feller.proteins.metrics.estimates import Tally
from feller.proteins.structure.chain import Chain

__all__ = ["BINS", "REGIONS", "counts", "regions"]

BINS = 36
"""Along each angle: 10 degrees."""

REGIONS = {
    "helical": ((-100.0, -30.0), (-80.0, 0.0)),
    "extended": ((-180.0, -45.0), (90.0, 180.0)),
    "positive": ((0.0, 180.0), (-180.0, 180.0)),
}
"""Boxes of phi and psi in degrees. Positive phi is rare in native chains (7%): mostly glycine."""


def counts(chains: Sequence[Chain], bins: int = BINS) -> Float[np.ndarray, "chains bins bins"]:
    """Return how many residues of each chain are in each bin of (phi, psi), from -180 degrees.

    Ends of chains, and residues with missing atoms, have no angles and are in none.
    """
    held = backbones(chains)
    phi, psi, known = _angles(held)
    x, y = (
        np.minimum((bins * (a[known] + 180) / 360).astype(np.int64), bins - 1) for a in (phi, psi)
    )
    cell = (held.chain[known] * bins + x) * bins + y
    size = held.chains * bins * bins
    return np.bincount(cell, minlength=size).astype(np.float64).reshape(-1, bins, bins)


def regions(chains: Sequence[Chain]) -> dict[str, Tally]:
    """Return the fraction of residues in each box of `REGIONS`."""
    held = backbones(chains)
    phi, psi, known = _angles(held)
    return {
        name: held.tally(known & _within(phi, *a) & _within(psi, *b), known)
        for name, (a, b) in REGIONS.items()
    }


def _angles(held: Backbones) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    phi, psi, _ = held.dihedrals()
    return phi, psi, np.isfinite(phi) & np.isfinite(psi)


def _within(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (low < values) & (values <= high)
