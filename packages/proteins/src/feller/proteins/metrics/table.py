"""The figures of a report by name: what is measured of each chain, and in which unit.

Every figure is plain data: `value`, `low`, `high` and `unit`, and beside it the same of a
reference, or for a divergence its baseline.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from feller.proteins.metrics import divergences as distances
from feller.proteins.metrics import geometry, ramachandran, shape
from feller.proteins.metrics.estimates import Estimate, Tally, mean_tally
from feller.proteins.metrics.secondary import structure_fractions
from feller.proteins.structure.chain import Chain

__all__ = ["UNITS", "chain_tallies", "divergences", "figure"]

UNITS = {
    "clashes": "per residue",
    "radius of gyration": "Angstrom",
    "radius over reference": "ratio",
    "radius over 2.60 L^0.352": "ratio",
    "contact order": "of the length",
    "fragment RMSD": "Angstrom",
    "pairwise TM": "TM",
    "fold clusters": "per chain",
    "nearest TM": "TM",
    "ProteinMPNN entropy": "nats",
    "ProteinMPNN negative log likelihood": "nats",
}
"""Of those figures that are not fractions."""


def chain_tallies(
    chains: Sequence[Chain], power_law: shape.PowerLaw | None = None
) -> dict[str, Tally]:
    """Return what is measured of each chain by itself.

    Args:
        chains: The chains.
        power_law: Power law of a reference's radius of gyration over length.
    """
    ratios = (
        {}
        if power_law is None
        else {"radius over reference": shape.radius_ratio(chains, power_law)}
    )
    outside = geometry.outside_native(chains)
    regions = ramachandran.regions(chains)
    return {
        "C-N bonds": geometry.bond_validity(chains),
        **{f"{name} outside native": tally for name, tally in outside.items()},
        "CA-CA links": geometry.ca_validity(chains),
        "clashes": geometry.clashes(chains),
        "right-handed": geometry.right_handed(chains),
        "trans": geometry.trans(chains),
        **{f"phi, psi {name}": tally for name, tally in regions.items()},
        **structure_fractions(chains),
        "radius of gyration": mean_tally(shape.radii(chains)),
        **ratios,
        "radius over 2.60 L^0.352": shape.radius_ratio(chains),
        "compact": shape.compact(chains),
        "contact order": shape.contact_order(chains),
        "missing atoms": geometry.missing_atoms(chains),
    }


def figure(name: str, found: Estimate, beside: Estimate | None = None) -> dict[str, Any]:
    """Return a figure as plain data, with that of a reference.

    Example:
        >>> figure("clashes", Estimate(0.1))
        {'value': 0.1, 'low': None, 'high': None, 'unit': 'per residue', 'reference': None}
    """
    usual = None if beside is None else beside._asdict()
    return {**found._asdict(), "unit": UNITS.get(name, "fraction"), "reference": usual}


def divergences(
    chains: Sequence[Chain], reference: Sequence[Chain], seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Return how far angles and distances are distributed from those of a reference, as plain data.

    Args:
        chains: The chains.
        reference: Native chains of about the same lengths.
        seed: Chooses resamples.
    """
    angles = [ramachandran.counts(some).reshape(len(some), -1) for some in (chains, reference)]
    rows = {
        "Ramachandran JS": _divergence(angles, distances.jensen_shannon, "nats", seed),
        "Ramachandran KL": _divergence(angles, distances.kullback_leibler, "nats", seed),
    }
    width = partial(distances.wasserstein, width=shape.WIDTH)
    for apart in shape.SEPARATIONS:
        far = [shape.distance_counts(some, apart) for some in (chains, reference)]
        rows[f"CA distance W1, {apart} apart"] = _divergence(far, width, "Angstrom", seed)
    return rows


def _divergence(
    counts: Sequence[np.ndarray], divergence: distances.Divergence, unit: str, seed: int
) -> dict[str, Any]:
    ours, native = counts
    found = distances.compare(ours, native, divergence, seed=seed)
    usual = distances.baseline(native, len(ours), divergence, seed=seed)
    return {**found._asdict(), "unit": unit, "baseline": usual._asdict()}
