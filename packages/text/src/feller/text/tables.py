"""Tables of texts: a document a row, in files of objects or cells, or in the `datasets` library.

`.jsonl` (`.ndjson`) has an object a line, `.json` a list of them; `.csv` and `.tsv` a row of names
first, `.parquet` columns. A table without the column of the text is refused, since what it holds is
not what anyone means to train on; without a column asked for, a file is text like any other.
"""

import csv
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from feller.text.packed import DataError, check_characters, open_text, suffix_of

__all__ = ["Table", "has_saved_data", "is_table", "rows_of_data_set", "rows_of_file"]

CELL = 2**30
"""The longest cell of a `.csv`, in characters."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Which texts of a table are read.

    Attributes:
        column: That of the text.
        config: Which of the configurations of a data set.
        split: Which split of a data set.
    """

    column: str = "text"
    config: str = ""
    split: str = "train"


def is_table(file: Path, table: Table) -> bool:
    """Return whether a file is read as a table, by its suffix."""
    return bool(table.column) and suffix_of(file) in (*_READERS, ".parquet")


def rows_of_file(file: Path, table: Table) -> Iterator[str]:
    """Read the texts of a table; an empty cell is not text.

    Raises:
        DataError: When the file is not a table, or lacks the column; when a cell is not text.
    """
    kind = suffix_of(file)
    if kind == ".parquet":
        yield from _texts(_parquet(file, table.column), str(file), table.column)
        return
    with open_text(file) as stream:
        yield from _texts(_READERS[kind](iter(stream), file), str(file), table.column)


def rows_of_data_set(name: str, table: Table) -> Iterator[str]:
    """Read the texts of a data set: a name, or a folder that `save_to_disk` wrote.

    Raises:
        DataError: When the library is missing, or finds no such data set, split or column.
    """
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DataError("the source datasets needs a package: pip install datasets") from None
    rows = _opened(datasets, name, table)
    yield from _texts(_told(rows, name), f"the data set {name}", table.column)


def has_saved_data(folder: Path) -> bool:
    """Return whether a folder is one that `save_to_disk` of the `datasets` library wrote."""
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _opened(datasets: Any, name: str, table: Table) -> Any:
    """Open a data set, from the disk where it was saved there."""
    if not has_saved_data(Path(name)):
        which = (name, table.config) if table.config else (name,)
        how = {"split": table.split, "streaming": True}
        return _call(name, lambda: datasets.load_dataset(*which, **how))
    if table.config:
        raise DataError(f"{name} was saved without configurations: leave out --data.config")
    saved = _call(name, lambda: datasets.load_from_disk(name))
    if isinstance(saved, Mapping):
        if table.split not in saved:
            known = ", ".join(saved)
            raise DataError(f"{name} has no split {table.split!r}: give --data.split, of {known}")
        return saved[table.split]
    if table.split not in ("train", str(getattr(saved, "split", "train"))):
        raise DataError(f"{name} is a single split, without {table.split!r}: leave it out")
    return saved


def _told(rows: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield rows; what goes wrong among them is said in one line."""
    iterator = iter(rows)
    while (row := _call(name, lambda: next(iterator, None))) is not None:
        yield row


def _call(name: str, function: Any) -> Any:
    try:
        return function()
    except Exception as error:  # the library has errors of many kinds, some of many lines
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(
            f"the data set {name} cannot be loaded (--data.config, --data.split): {reason}"
        ) from None


def _texts(rows: Iterator[Mapping[str, Any]], name: str, column: str) -> Iterator[str]:
    for number, row in enumerate(rows, 1):
        if column not in row:
            known = textwrap.shorten(", ".join(map(str, row)) or "none", 200)
            raise DataError(
                f"{name} has no column {column!r} in row {number}: give --data.column, of {known}"
            )
        text = row[column]
        if text is not None and not isinstance(text, str):
            kind = type(text).__name__
            raise DataError(f"{name} has a {kind} in column {column!r} of row {number}, no text")
        if text:
            check_characters(text, f"{name}, row {number}")
            yield text


def _objects(lines: Iterator[str], file: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _object(_parse(line, f"{file}, line {number},"), f"{file}, line {number},")


def _list(lines: Iterator[str], file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list, or of lines where there is no list."""
    first = next((line for line in lines if line.strip()), "")
    lines = chain([first], lines)
    if not first.lstrip().startswith("["):
        yield from _objects(lines, file)
        return
    for row in _parse("".join(lines), str(file)):
        yield _object(row, str(file))


def _parse(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{name} is no JSON ({error}): to read it as plain text, give --data.column ''"
        ) from None


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise DataError(f"{name} is a {kind}, no object with a text: give --data.column '' as text")
    return value


def _cells(lines: Iterator[str], file: Path) -> Iterator[Mapping[str, Any]]:
    delimiter = "\t" if suffix_of(file) == ".tsv" else ","
    csv.field_size_limit(CELL)  # of the process, and 131,072 without
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        names = next(rows, [])
        if twice := {name for name in names if names.count(name) > 1}:
            raise DataError(f"{file} has two columns {min(twice)!r}: give each its own name")
        for row in rows:
            if row and len(row) != len(names):
                raise DataError(
                    f"{file}, line {rows.line_num}, has {len(row)} cells and its first line "
                    f"{len(names)}: quote cells that hold a {delimiter!r}, or give --data.column ''"
                )
            if row:
                yield dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{file}, line {rows.line_num}, is not a row of cells: {error}") from None


_READERS: Mapping[str, Callable[..., Iterator[Mapping[str, Any]]]] = MappingProxyType(
    {".jsonl": _objects, ".ndjson": _objects, ".json": _list, ".csv": _cells, ".tsv": _cells}
)


def _parquet(file: Path, column: str) -> Iterator[Mapping[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DataError(f"{file} needs a package: pip install pyarrow") from None
    try:
        whole = parquet.ParquetFile(file)
        if column not in whole.schema_arrow.names:
            yield dict.fromkeys(whole.schema_arrow.names)
        for batch in whole.iter_batches(batch_size=1024, columns=[column]):
            yield from batch.to_pylist()
    except (OSError, ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{file} is not readable as parquet: {reason}") from None
