r"""The shape of whole chains: how compact they are, and how far apart their residues.

With x_i the CA of a chain of L residues with a position, the radius of gyration is
sqrt(mean_i |x_i - mean x|^2). Native chains follow Rg = 2.60 L^0.352 Angstrom, with a spread of
0.098 of its logarithm (187 crystal chains).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from feller.proteins.metrics.backbones import backbones
from feller.proteins.metrics.estimates import Tally, mean_tally
from feller.proteins.structure.chain import Chain

__all__ = [
    "NATIVE_RADIUS",
    "SEPARATIONS",
    "WIDTH",
    "PowerLaw",
    "compact",
    "contact_order",
    "distance_counts",
    "fit_radius",
    "lengths",
    "radii",
    "radius_ratio",
]


class PowerLaw(NamedTuple):
    """The radius of gyration that belongs to a length: scale * length^exponent, in Angstrom.

    Example:
        >>> round(float(NATIVE_RADIUS.at(np.array([100.0]))[0]), 2)
        13.15
    """

    scale: float
    exponent: float

    def at(self, length: Float[np.ndarray, " chains"]) -> Float[np.ndarray, " chains"]:
        """Return the radius at each length."""
        return self.scale * length**self.exponent


NATIVE_RADIUS = PowerLaw(2.60, 0.352)
SPREAD = 0.098

CONTACT, APART = 8.0, 3
SEPARATIONS = ("3", "4", "5", "10", "20+")
WIDTH, FARTHEST = 0.1, 150.0


def lengths(chains: Sequence[Chain]) -> Float[np.ndarray, " chains"]:
    """Return how many residues of each chain have a CA."""
    return np.array([_ca(chain).shape[0] for chain in chains], dtype=np.float64)


def radii(chains: Sequence[Chain]) -> Float[np.ndarray, " chains"]:
    """Return the radius of gyration of each chain in Angstrom; NaN of one without a CA."""
    held = backbones(chains)
    known = np.isfinite(held.ca).all(-1)
    number, ca = held.chain[known], held.ca[known]
    size = np.bincount(number, minlength=held.chains)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = _sums(number, ca, held.chains) / size
        square = _sums(number, np.square(ca - middle[number]), held.chains) / size
    return np.sqrt(square.sum(-1))


def fit_radius(chains: Sequence[Chain]) -> PowerLaw:
    """Fit the power law of some chains: its slope in logarithms, its scale to their mean radius.

    Where their lengths hardly differ, the exponent is that of `NATIVE_RADIUS`.

    Raises:
        ValueError: When no chain has a radius.
    """
    length, radius = lengths(chains), radii(chains)
    fine = np.isfinite(radius) & (radius > 0)
    if not fine.any():
        raise ValueError("no chain has two CA atoms with a position: there is no radius to fit")
    x, y = np.log(length[fine]), np.log(radius[fine])
    spread = float(x.std())
    exponent = NATIVE_RADIUS.exponent
    if spread > 0.1:
        exponent = float(((x - x.mean()) * (y - y.mean())).mean()) / spread**2
    usual = PowerLaw(1.0, exponent).at(length[fine])
    return PowerLaw(float(radius[fine].sum() / usual.sum()), exponent)


def radius_ratio(chains: Sequence[Chain], power_law: PowerLaw = NATIVE_RADIUS) -> Tally:
    """Return the mean radius of gyration over the mean of what belongs to the lengths.

    1 is native, more is looser. A fit to the chains themselves gives 1.
    """
    radius, usual = radii(chains), power_law.at(lengths(chains))
    known = np.isfinite(radius)
    return Tally(np.where(known, radius, 0.0), np.where(known, usual, 0.0))


def compact(chains: Sequence[Chain], power_law: PowerLaw = NATIVE_RADIUS) -> Tally:
    """Return the fraction of chains whose log radius is within three spreads of the native one."""
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.log(radii(chains) / power_law.at(lengths(chains))) / SPREAD
    return mean_tally(np.where(np.isnan(off), np.nan, np.abs(off) <= 3))


def contact_order(chains: Sequence[Chain], reach: float = CONTACT) -> Tally:
    """Return the relative contact order, averaged over chains that have contacts.

    It is the mean of |i - j| over pairs of CA nearer than `reach` Angstrom and at least three
    positions apart, over the number of residues: low in helices, high in sheets of far strands.

    Source: Plaxco et al., J. Mol. Biol. 277 (1998), here by CA.
    """
    return mean_tally([_order(chain, reach) for chain in chains])


def distance_counts(chains: Sequence[Chain], separation: str) -> Float[np.ndarray, "chains k"]:
    """Return how many pairs of CA of each chain are how far apart, in bins of 0.1 Angstrom.

    Args:
        chains: The chains.
        separation: How many positions apart a pair is; `20+` is 20 and more.

    Raises:
        ValueError: When the separation is not a positive number.
    """
    number = separation.removesuffix("+")
    if not number.isdigit() or int(number) < 1:
        raise ValueError(f"a separation is a number such as 5 or 20+, not {separation!r}")
    bins = math.ceil(FARTHEST / WIDTH)
    rows = [_pairs(chain, int(number), separation.endswith("+")) for chain in chains]
    cells = [np.minimum((row / WIDTH).astype(np.int64), bins - 1) for row in rows]
    return np.stack([np.bincount(cell, minlength=bins) for cell in cells]).astype(np.float64)


def _ca(chain: Chain) -> np.ndarray:
    ca = chain.atoms[:, 1].astype(np.float64)
    return ca[np.isfinite(ca).all(-1)]


def _sums(number: np.ndarray, values: np.ndarray, chains: int) -> np.ndarray:
    return np.stack([np.bincount(number, column, chains) for column in values.T], -1)


def _order(chain: Chain, reach: float) -> float:
    ca = chain.atoms[:, 1].astype(np.float64)
    apart = np.subtract.outer(chain.positions, chain.positions).T
    near = np.square(ca[:, None] - ca[None]).sum(-1) < reach**2
    found = apart[near & (apart >= APART)]
    return float(found.mean()) / len(ca) if len(found) else math.nan


def _pairs(chain: Chain, apart: int, beyond: bool) -> np.ndarray:
    """Return the distances of pairs so many positions apart, or at least so many."""
    ca = chain.atoms[:, 1].astype(np.float64)
    between = np.subtract.outer(chain.positions, chain.positions).T
    i, j = np.nonzero(between >= apart if beyond else between == apart)
    far = np.sqrt(np.square(ca[i] - ca[j]).sum(-1))
    return far[np.isfinite(far)]
