"""Numeric conditions of images, in files next to them: sizes, angles, ages."""

import csv
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from feller.images.folders import FolderImages
from feller.images.pixels import DataError

__all__ = ["chosen_numbers", "with_numbers"]

ALL = "all"
TABLE, ARRAY, FILE = "metadata.csv", "conditions.npy", "file_name"


def chosen_numbers(
    numbers: np.ndarray, names: Sequence[str], asked: Sequence[str], n: int, where: str
) -> tuple[tuple[str, ...], Float[Tensor, "n d"]]:
    """Return the requested columns: their names, and their values for each image.

    Args:
        numbers: All numbers, `(n, columns)`.
        names: The names of the columns.
        asked: Which of them, or `all`.
        n: How many images there are.
        where: The file, for messages.

    Raises:
        DataError: When there is no such column, or there are not finite numbers for each image.

    Example:
        >>> numbers, names = np.array([[1.0, 2.0]]), ["age", "size"]
        >>> chosen_numbers(numbers, names, ["size"], 1, "")
        (('size',), tensor([[2.]]))
    """
    if numbers.dtype.kind not in "fiu" or numbers.ndim != 2 or len(numbers) != n or not names:
        raise DataError(
            f"{where}: expected numbers of conditions (n, d) for {n} images, found {numbers.dtype} "
            f"{numbers.shape}"
        )
    columns = tuple(names) if list(asked) == [ALL] else tuple(asked)
    for column in columns:
        if column not in names:
            raise DataError(f"{where} has no column {column!r}; there are {_listed(names)}")
    with np.errstate(over="ignore"):  # what is too large is infinite, and refused below
        chosen = torch.from_numpy(np.ascontiguousarray(numbers, dtype=np.float32))
    chosen = chosen[:, [list(names).index(column) for column in columns]]
    if not chosen.isfinite().all():
        row = int((~chosen.isfinite()).any(1).nonzero()[0])
        raise DataError(f"{where}: conditions are finite numbers, not {chosen[row].tolist()}")
    return columns, chosen


def with_numbers(images: FolderImages, asked: Sequence[str]) -> FolderImages:
    """Return the images of a folder with numeric conditions instead of classes.

    They are in `metadata.csv`, a line for each image by its `file_name` (including its folder, if
    any), or in `conditions.npy`, a row for each: the files of a folder by name, then those of its
    subfolders.

    Raises:
        DataError: When there is no such file, an image has no line, or a column no numbers.
    """
    table, array = images.home / TABLE, images.home / ARRAY
    if table.is_file():
        columns, numbers = _of_table(table, images, asked)
    elif array.is_file():
        try:
            found = np.load(array, allow_pickle=False)
        except Exception as error:  # numpy parses its header as Python, with errors of that
            raise DataError(
                f"{array} is not a readable array: {' '.join(str(error).split())}"
            ) from None
        names = [str(i) for i in range(found.shape[-1])] if found.ndim == 2 else []
        columns, numbers = chosen_numbers(found, names, asked, len(images), str(array))
    else:
        raise DataError(f"{images.home} has neither {TABLE} nor {ARRAY}, with the conditions")
    return replace(images, classes=(), numbers=numbers, columns=columns)


def _of_table(
    table: Path, images: FolderImages, asked: Sequence[str]
) -> tuple[tuple[str, ...], Float[Tensor, "n d"]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            lines = list(reader)
            names = [name for name in reader.fieldnames or () if name]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is not a readable .csv file: {error}") from None
    if FILE not in names:
        raise DataError(f"{table} has no column {FILE}; there are {_listed(names)}")
    of_file = {line[FILE]: line for line in lines}
    others = [name for name in names if name != FILE]
    columns = others if list(asked) == [ALL] else list(asked)
    rows = []
    for file, _ in images.files:
        name = file.relative_to(images.home).as_posix()
        if name not in of_file:
            raise DataError(f"{table} has no line of {name}: {FILE} is the path from its folder")
        line = of_file[name]
        rows.append([_number(line.get(column), column, table, others) for column in columns])
    return chosen_numbers(np.array(rows), columns, columns, len(images), str(table))


def _number(value: str | None, column: str, table: Path, names: Sequence[str]) -> float:
    if column not in names:
        raise DataError(f"{table} has no column {column!r}; there are {_listed(names)}")
    try:
        return float(value or "")
    except ValueError:
        raise DataError(f"{table}: column {column!r} has {value!r}, not a number") from None


def _listed(names: Sequence[str]) -> str:
    return textwrap.shorten(", ".join(names) or "none", 200)
