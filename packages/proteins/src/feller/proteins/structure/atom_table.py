"""The columns of a structure file that a backbone takes, and the chains they make.

The table of atoms of a file is the same in its three formats: each column an array over atoms.
"""

import io
import math
from codecs import BOM_UTF8
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from feller.proteins.structure.amino_acids import codes_of_names
from feller.proteins.structure.chain import ATOMS, LONGEST_BOND, SHORTEST_BOND, Chain
from feller.proteins.structure.records import (
    SLOTS,
    SPARE,
    check_whole,
    models_of_pdb,
    records_of_pdb,
)

__all__ = ["Columns", "chains_of", "columns_of_pdb", "has_value"]

_NONE = (".", "?", "", " ")

NOWHERE = 9999.0
"""Angstrom from which on a position is none: what CHARMM writes where an atom was never put."""


@dataclass(frozen=True, eq=False)
class Columns:
    """The backbone atoms of a structure, a row each.

    Attributes:
        slot: Which of N, CA, C and O, or 4 for the second oxygen of a terminus.
        residue: Three-letter name.
        chain: Name of the chain.
        number: Of the residue.
        insertion: What distinguishes residues of one number.
        alternative: Which of the positions of an atom that has several.
        occupancy: The fraction of molecules that have this alternative.
        position: In Angstrom, `(rows, 3)`.
        free: Whether the file says that the atom is of no polymer; bonds say more.
        resolution: Of the structure, in Angstrom; NaN where it is not known.
        models: How many the structure has; the rows are of the first.
    """

    slot: np.ndarray
    residue: np.ndarray
    chain: np.ndarray
    number: np.ndarray
    insertion: np.ndarray
    alternative: np.ndarray
    occupancy: np.ndarray
    position: np.ndarray
    free: np.ndarray
    resolution: float = math.nan
    models: int = 1

    def __getitem__(self, rows: Any) -> "Columns":
        """Return some of the rows."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {k: v[rows] for k, v in values.items() if isinstance(v, np.ndarray)}
        return replace(self, **arrays)


def columns_of_pdb(data: bytes) -> Columns:
    """Take what a backbone needs from the text of a PDB file.

    Only the records of backbone atoms of the first model reach the parser. A canonical residue
    among the hetero atoms is a free amino acid, and is left out; another one is free where no bond
    holds it, and it comes after the end of its chain or is not in the sequence (SEQRES).

    Raises:
        ValueError: When there is none, or the file ends in the middle of a record.
    """
    from biotite.structure.io.pdb import PDBFile

    text = data.removeprefix(BOM_UTF8).decode("latin-1")
    check_whole(text)
    lines, models = models_of_pdb(text.splitlines())
    records, chains, free, resolution = records_of_pdb(lines)
    if not records:
        raise ValueError("it has no ATOM records of a backbone")
    file = PDBFile.read(io.StringIO("\n".join(records)))
    rows = file.get_structure(model=1, altloc="all", extra_fields=["occupancy"])
    return Columns(
        np.array([SLOTS[name] for name in rows.atom_name], dtype=np.int8),
        rows.res_name,
        np.array(chains),
        rows.res_id.astype(np.int32),
        rows.ins_code,
        rows.altloc_id,
        rows.occupancy,
        np.asarray(rows.coord, dtype=np.float32),
        np.array(free),
        resolution,
        models,
    )


def chains_of(columns: Columns, name: str) -> list[Chain]:
    """Make the chains of a structure, in the order in which they begin.

    Args:
        columns: Its backbone atoms.
        name: That of the structure; chains add theirs where there are several.
    """
    labels = columns.chain
    if len(labels) and (labels == labels[0]).all():
        parts = {str(labels[0]): columns}
    else:
        parts = {label: columns[labels == label] for label in dict.fromkeys(labels.tolist())}
    made = {label: _chain(part, name) for label, part in parts.items()}
    found = {label.strip(): chain for label, chain in made.items() if chain is not None}
    names = {label: f"{name}_{label or '_'}" if len(found) > 1 else name for label in found}
    return [replace(c, name=names[label], letter=label) for label, c in found.items()]


def _chain(columns: Columns, name: str) -> Chain | None:
    """Make one chain; none of what holds no amino acid."""
    columns = _without_alternatives(columns)
    nowhere = (np.abs(columns.position) >= NOWHERE).any(-1, keepdims=True)
    columns = replace(columns, position=np.where(nowhere, np.float32(np.nan), columns.position))
    starts = _starts(columns)
    row = np.cumsum(starts) - 1
    every = np.full((int(starts.sum()), len(ATOMS) + 1, 3), np.nan, dtype=np.float32)
    # Backwards, so that the first of two atoms of one name stays.
    every[row[::-1], columns.slot[::-1]] = columns.position[::-1]
    atoms, oxygen = every[:, :SPARE].copy(), ATOMS.index("O")
    atoms[:, oxygen] = np.where(np.isnan(atoms[:, oxygen]), every[:, SPARE], atoms[:, oxygen])
    codes = codes_of_names(columns.residue[starts], atoms, columns.free[starts])
    kept = codes >= 0
    if not kept.any():
        return None
    numbers, insertions = columns.number[starts], columns.insertion[starts]
    given = has_value(insertions)
    codes_given = np.where(given, insertions, " ").tolist()
    letters = "".join(code[0] for code in codes_given) if given.any() else ""
    residues = codes.astype(np.uint8)
    return Chain(name, atoms, residues, numbers, columns.resolution, insertions=letters).only(kept)


def _starts(columns: Columns) -> np.ndarray:
    """Return which rows begin a residue: by number, or by the bond to one of the same number."""
    starts = np.ones(len(columns.slot), dtype=bool)
    number, insertion, slot = columns.number, columns.insertion, columns.slot
    starts[1:] = (number[1:] != number[:-1]) | (insertion[1:] != insertion[:-1])
    rows, runs = np.arange(len(slot)), np.cumsum(starts)
    carbon = np.maximum.accumulate(np.where(slot == ATOMS.index("C"), rows, -1))
    again = (slot == ATOMS.index("N")) & (carbon >= 0) & (runs == runs[carbon]) & ~starts
    apart = np.linalg.norm(columns.position - columns.position[carbon], axis=-1)
    return starts | (again & (apart > SHORTEST_BOND) & (apart < LONGEST_BOND))


def _without_alternatives(columns: Columns) -> Columns:
    """Keep of each residue the atoms without alternatives, and those of the most likely one.

    A file may list all of one alternative before the next, or those of some residues after the
    chain: an alternative stands where its residue begins.
    """
    has = has_value(columns.alternative)
    if not has.any():
        return columns
    _, insertion = np.unique(columns.insertion, return_inverse=True)
    names = columns.number.astype(np.int64) * (insertion.max() + 1) + insertion
    _, first, residue = np.unique(names, return_index=True, return_inverse=True)
    occupancies: dict[tuple[int, str], list[float]] = {}
    rows = zip(residue[has], columns.alternative[has], columns.occupancy[has], strict=True)
    for position, label, occupancy in rows:
        occupancies.setdefault((int(position), str(label)), []).append(float(occupancy))
    best: dict[int, tuple[float, str]] = {}
    for (position, label), known in sorted(occupancies.items()):
        occupancy = sum(known) / len(known)
        if position not in best or occupancy > best[position][0]:
            best[position] = (occupancy, label)
    labels = np.array([best.get(int(position), (0.0, ""))[1] for position in residue])
    # A number that comes again with other atoms is of another residue, which stays where it is.
    begins = np.append(True, residue[1:] != residue[:-1])
    starts = np.flatnonzero(begins)
    alone = np.logical_and.reduceat(has, starts)
    runs = np.where(alone, first[residue[starts]], starts)
    order = np.argsort(runs[np.cumsum(begins) - 1], kind="stable")
    kept = ~has | (columns.alternative == labels)
    return columns[order[kept[order]]]


def has_value(values: np.ndarray) -> np.ndarray:
    """Return which strings are values; four comparisons are faster than a search of four."""
    return np.logical_and.reduce([values != none for none in _NONE])
