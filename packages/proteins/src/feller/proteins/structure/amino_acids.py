"""The names of residues in structure files, and which of the 20 they are."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float, Int8, Shaped

from feller.proteins.structure.chain import LETTERS, UNKNOWN, bonded

__all__ = ["CANONICAL", "codes_of_names"]

CANONICAL = (
    *("ALA", "CYS", "ASP", "GLU", "PHE", "GLY", "HIS", "ILE", "LYS", "LEU"),
    *("MET", "ASN", "PRO", "GLN", "ARG", "SER", "THR", "VAL", "TRP", "TYR"),
)
"""The names of residues 0 to 19."""

_CODES: Mapping[str, int] = MappingProxyType(
    {name: code for code, name in enumerate(CANONICAL)} | {"MSE": LETTERS.index("M")}
)
_PROTONATED: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(("HID", "HIE", "HIP", "HSD", "HSE", "HSP"), LETTERS.index("H"))
    | dict.fromkeys(("CYX", "CYM"), LETTERS.index("C"))
    | {"ASH": LETTERS.index("D"), "GLH": LETTERS.index("E"), "LYN": LETTERS.index("K")}
)
"""The names that simulations give."""


def codes_of_names(
    names: Shaped[np.ndarray, " n"],
    atoms: Float[np.ndarray, "n 4 3"],
    free: Bool[np.ndarray, " n"] | None = None,
) -> Int8[np.ndarray, " n"]:
    """Return the numbers of residues: 20 of unknown ones, -1 of what is no residue of the chain.

    What is named for its protons is the residue that it is, and what is bonded to a neighbour as
    residues are is an unknown one whatever its name: left out, it would break the chain. What has
    no CA, such as the caps ACE and NME, is none.

    Args:
        names: Of up to three letters or more.
        atoms: N, CA, C and O of each, NaN where one is missing.
        free: Which are no residues where no bond says so, whatever amino acid they are.
    """
    codes = np.array([_CODES.get(name, -1) for name in names.tolist()], dtype=np.int8)
    if (codes >= 0).all():
        return codes
    linked = bonded(atoms)
    within = np.append(linked, False) | np.append(False, linked)
    has_ca = np.isfinite(atoms[:, 1]).all(-1)
    for i in np.flatnonzero((codes < 0) & has_ca):
        if within[i]:
            codes[i] = _PROTONATED.get(names[i], UNKNOWN)
        elif names[i] in _amino_acids() and (free is None or not free[i]):
            codes[i] = UNKNOWN
    return codes


@cache
def _amino_acids() -> frozenset[str]:
    from biotite.structure.info import amino_acid_names

    return frozenset(amino_acid_names())
