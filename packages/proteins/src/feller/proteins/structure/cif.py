"""Tables of atoms of mmCIF and BinaryCIF files.

Rows are dropped as early as may be, so that little is decoded, compared or copied: other models,
other atoms, what is no part of a polymer.
"""

import math
from typing import Any

import numpy as np

from feller.proteins.structure.atom_table import Columns, has_value
from feller.proteins.structure.records import SLOTS

__all__ = ["columns_of_cif"]


def columns_of_cif(file: Any) -> dict[str, Columns]:
    """Take what a backbone needs from biotite's `CIFFile` or `BinaryCIFFile`.

    Returns:
        The columns of each data block that has atoms, by its name.

    Raises:
        ValueError: When the file has no atoms.
    """
    blocks = {name: block for name, block in file.items() if "atom_site" in block}
    if not blocks:
        raise ValueError("it has no table of atoms (atom_site)")
    return {name: _columns(block) for name, block in blocks.items()}


def _columns(block: Any) -> Columns:
    """Take what a backbone needs from a data block."""
    table = block["atom_site"]
    names = _strings(table, "label_atom_id", "auth_atom_id")
    slot = np.full(len(names), -1, dtype=np.int8)
    for name, number in SLOTS.items():
        slot[names == name] = number
    keep, models = slot >= 0, 1
    if "pdbx_PDB_model_num" in table:
        model = _column(table, "pdbx_PDB_model_num").data.array
        first = model == model[0]
        keep, models = keep & first, 1 if first.all() else len(np.unique(model))
    if "label_seq_id" in table:
        polymer = _is_given(table["label_seq_id"])
        keep &= polymer | ~polymer.any()
    alternative = _strings(table, "label_alt_id")[keep]
    number = _column(table, "auth_seq_id", "label_seq_id", rows=keep)
    if _missing(number, keep).any():
        raise ValueError("an atom of a backbone has no number of its residue (auth_seq_id)")
    return Columns(
        slot[keep],
        _strings(table, "auth_comp_id", "label_comp_id", rows=keep)[keep],
        _strings(table, "auth_asym_id", "label_asym_id", rows=keep)[keep],
        number.as_array(np.int32)[keep],
        _strings(table, "pdbx_PDB_ins_code")[keep],
        alternative,
        _occupancy(table, alternative, keep),
        np.stack([_coordinate(table[f"Cartn_{axis}"], keep) for axis in "xyz"], axis=-1),
        np.zeros(len(alternative), dtype=bool),
        _resolution(block),
        models,
    )


def _column(table: Any, *names: str, rows: np.ndarray | None = None) -> Any:
    """Return the first column there is that has a value in some of the rows, else the last.

    Raises:
        ValueError: When there is none.
    """
    there = [name for name in names if name in table]
    # One after the other, as each is decoded when it is asked for.
    for name in there:
        column = table[name]
        if rows is None or name == there[-1] or not _missing(column, rows).all():
            return column
    raise ValueError(f"its table of atoms has no column {' or '.join(names)}")


def _strings(table: Any, *names: str, rows: np.ndarray | None = None) -> np.ndarray:
    """Return a column as strings; that of insertions or alternatives may be missing."""
    if names[0] in ("label_alt_id", "pdbx_PDB_ins_code") and names[0] not in table:
        return np.zeros(table.row_count, dtype="U1")
    return _column(table, *names, rows=rows).as_array(str)


def _missing(column: Any, rows: np.ndarray) -> np.ndarray:
    """Return which of the rows of a column have no value; a single False where there is no mask."""
    return np.array([False]) if column.mask is None else column.mask.array[rows] != 0


def _coordinate(column: Any, rows: np.ndarray) -> np.ndarray:
    """Return positions along an axis, NaN where they are not given."""
    positions = column.as_array(np.float32)[rows]
    return positions if column.mask is None else np.where(_missing(column, rows), np.nan, positions)


def _is_given(column: Any) -> np.ndarray:
    """Return which rows of a column have a value."""
    if column.mask is not None:
        return column.mask.array == 0
    values = column.data.array
    return has_value(values) if values.dtype.kind == "U" else np.ones(len(values), dtype=bool)


def _occupancy(table: Any, alternative: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Return occupancies where they decide something, else ones."""
    if "occupancy" in table and has_value(alternative).any():
        return table["occupancy"].as_array(np.float32, masked_value=1.0)[keep]
    return np.ones(len(alternative), dtype=np.float32)


def _resolution(block: Any) -> float:
    """Return the resolution that a crystal or a microscope gave, in Angstrom."""
    for category, name in (
        ("refine", "ls_d_res_high"),
        ("em_3d_reconstruction", "resolution"),
        ("reflns", "d_resolution_high"),
    ):
        if category in block and name in block[category]:
            value = _number(str(block[category][name].as_array(str)[0]))
            if not math.isnan(value):
                return value
    return math.nan


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
