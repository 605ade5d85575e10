"""Structure files into chains: PDB, mmCIF and BinaryCIF, plain or gzipped, in folders or archives.

Of a structure the first model is read, and where there are more, it is said; of that the amino
acids, and of those four backbone atoms; where a residue has alternatives, the one of highest
occupancy, the first of equals. Each data block of mmCIF is a structure. Selenomethionine is
methionine; other modified residues are unknown. Only the columns that this takes are decoded.

A file is unpacked by what it is, and to no more than `EXPANSION` times its size, or `SMALL`.

What cannot be read is a `Refusal` among the chains: never an exception, never left out.
"""

import gzip
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from feller.proteins.structure.atom_table import Columns, chains_of, columns_of_pdb
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.cif import columns_of_cif

__all__ = [
    "MODELS",
    "SUFFIXES",
    "Entry",
    "Refusal",
    "entries",
    "read_chains",
    "read_entries",
    "sorted_out",
]

T = TypeVar("T")

MODELS = "of several models"
"""The kind of refusal that says that models after the first were not taken."""

_GZIP = b"\x1f\x8b"
"""How gzipped data begin."""


@dataclass(frozen=True)
class Refusal:
    """What was not taken, and why.

    Attributes:
        name: Of the file or the chain.
        reason: One line.
        kind: What such refusals are counted under.
    """

    name: str
    reason: str
    kind: str = "unreadable"


def sorted_out(found: Iterable[T | Refusal]) -> tuple[list[T], list[Refusal]]:
    """Return what was taken, chains or files, and what was not.

    Example:
        >>> sorted_out([Refusal("1abc", "broken")])
        ([], [Refusal(name='1abc', reason='broken', kind='unreadable')])
    """
    sorts: tuple[list[Any], list[Any]] = ([], [])
    for item in found:
        sorts[isinstance(item, Refusal)].append(item)
    return sorts


@dataclass(frozen=True)
class Entry:
    """One structure file.

    Attributes:
        name: Its path within the folder or archive, without suffixes.
        path: The file, or the archive that holds it.
        member: Its name within the archive.
        trouble: Why there is nothing to read.
    """

    name: str
    path: Path
    member: str = ""
    trouble: str = ""


def _columns_of_pdb(data: bytes) -> dict[str, Columns]:
    return {"": columns_of_pdb(data)}


def _columns_of_text_cif(data: bytes) -> dict[str, Columns]:
    from biotite.structure.io.pdbx import CIFFile

    # What is not UTF-8 is the name of an author, in a file of long ago.
    text = data.decode("utf-8-sig", errors="replace")
    file = CIFFile.read(io.StringIO(text))
    if f"\n{text}".count("\ndata_") > len(file):
        raise ValueError("two of its data blocks have one name: each needs a name of its own")
    return columns_of_cif(file)


def _columns_of_binary_cif(data: bytes) -> dict[str, Columns]:
    from biotite.structure.io.pdbx import BinaryCIFFile

    return columns_of_cif(BinaryCIFFile.read(io.BytesIO(data)))


_FORMATS: Mapping[str, Callable[[bytes], dict[str, Columns]]] = MappingProxyType(
    {
        ".pdb": _columns_of_pdb,
        ".ent": _columns_of_pdb,
        ".cif": _columns_of_text_cif,
        ".mmcif": _columns_of_text_cif,
        ".bcif": _columns_of_binary_cif,
    }
)

SUFFIXES = tuple(_FORMATS)
"""Endings of structure files; `.gz` may follow."""

EXPANSION = 200
"""How many times its own size a packed file may unpack to; a trajectory does 20 times."""

SMALL = 2**28
"""What any packed file may unpack to: 256 MiB."""


def read_chains(path: str | Path) -> Iterator[Chain | Refusal]:
    """Read the chains of a structure file, of a folder of them at any depth, or of a `.zip`.

    A structure with several chains gives several, named `NAME_A`, `NAME_B`; data blocks of one file
    add their names first, `NAME_BLOCK`. A refusal of kind `MODELS` follows the chains of a
    structure that has further models.

    Args:
        path: The file, the folder or the archive.
    """
    yield from read_entries(entries(path))


def entries(path: str | Path) -> list[Entry]:
    """List the structure files there are, in order of their names.

    Args:
        path: A file, a folder or an archive. Other files in folders and archives are skipped.
    """
    path = Path(path)
    if path.is_dir():
        files = [p for p in path.rglob("*") if _suffix(p.name) in _FORMATS and p.is_file()]
        found = [Entry(_stem(p.relative_to(path).as_posix()), p) for p in files]
    elif not path.is_file():
        return [Entry(path.name, path, trouble="no such file or folder")]
    elif path.suffix.lower() == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                names = [n for n in archive.namelist() if _suffix(n) in _FORMATS]
        except Exception as error:  # zipfile and its decoders have errors of many kinds
            reason = " ".join(str(error).split()) or type(error).__name__
            return [Entry(path.name, path, trouble=f"not a readable archive: {reason}")]
        found = [Entry(_stem(name), path, name) for name in names]
    elif _suffix(path.name) in _FORMATS:
        found = [Entry(_stem(path.name), path)]
    else:
        trouble = f"expected a name that ends in one of {', '.join(SUFFIXES)}, .gz or not, or .zip"
        return [Entry(path.name, path, trouble=trouble)]
    if not found:
        return [Entry(path.name, path, trouble=f"holds no files {', '.join(SUFFIXES)}")]
    return sorted(found, key=lambda entry: (entry.name, entry.member, str(entry.path)))


def read_entries(some: Iterable[Entry]) -> Iterator[Chain | Refusal]:
    """Read the chains of structure files, in their order.

    Args:
        some: From `entries`; an archive is opened once for files of it that follow each other.
    """
    for (path, is_member), group in groupby(some, key=lambda e: (e.path, bool(e.member))):
        with ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(path)) if is_member else None
            for entry in group:
                yield from _read(entry, archive)


def _read(entry: Entry, archive: zipfile.ZipFile | None) -> list[Chain | Refusal]:
    if entry.trouble:
        return [Refusal(entry.name, entry.trouble)]
    try:
        data = _member(archive, entry.member) if archive else entry.path.read_bytes()
        file_name = entry.member or entry.path.name
        if file_name.lower().endswith(".gz") or data.startswith(_GZIP):
            data = _bounded(gzip.GzipFile(fileobj=io.BytesIO(data)), len(data))
        found = _FORMATS[_suffix(file_name)](data)
        several = len(found) > 1
        names = [f"{entry.name}_{block}" if several else entry.name for block in found]
        parts = [_structure(c, name) for c, name in zip(found.values(), names, strict=True)]
        return [item for part in parts for item in part]
    except Exception as error:  # biotite, msgpack, zipfile and zlib have errors of many kinds
        reason = " ".join(str(error).split()) or "no reason given"
        return [Refusal(entry.name, f"{type(error).__name__}: {reason}")]


def _structure(columns: Columns, name: str) -> list[Chain | Refusal]:
    """Return the chains of a structure, and what is not taken of it."""
    found: list[Chain | Refusal] = [*chains_of(columns, name)]
    if not found:
        return [Refusal(name, "it has no amino acids", "not protein")]
    if columns.models > 1:
        reason = f"{columns.models - 1} of its {columns.models} models: the first is read"
        found.append(Refusal(name, reason, MODELS))
    return found


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream:
        return _bounded(stream, archive.getinfo(name).compress_size)


def _bounded(stream: Any, size: int) -> bytes:
    """Unpack what is packed in some bytes; what a header says of its size is not believed."""
    most = max(SMALL, EXPANSION * size)
    data = stream.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it unpacks to more than {most / 2**20:,.0f} MiB: unpack it first")
    return data


def _suffix(name: str) -> str:
    """Return the last suffix that is not `.gz`, in lower case; none for hidden files."""
    path = Path(name.lower().removesuffix(".gz"))
    return "" if path.name.startswith(".") else path.suffix


def _stem(name: str) -> str:
    """Return a path without `.gz` and the suffix before it."""
    plain = name[:-3] if name.lower().endswith(".gz") else name
    return Path(plain).with_suffix("").as_posix()
