"""Where text comes from: files, folders, archives of one file, and Python's own library.

A corpus is an iterable of documents, read one at a time. `stdlib` is there wherever Python is: the
source of its standard library; `stdlib-docs` is the English in it.
"""

import ast
import gzip
import inspect
import lzma
import sysconfig
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TextIO

__all__ = ["CorpusSource", "DataError", "Document", "documents"]

CorpusSource = Literal["file", "folder", "stdlib", "stdlib-docs", "datasets"]

_OPEN: Mapping[str, Callable[..., Any]] = MappingProxyType({".gz": gzip.open, ".xz": lzma.open})
_PLACES: Mapping[str, str] = MappingProxyType(
    {
        "file": "give a file of text, or another --data.source",
        "folder": "give the folder of the text",
        "datasets": "give the name of the data set",
    }
)
# Other people's packages; tests; and what a program wrote: tables of encodings, topics of help.
_NOT_LIBRARY = {
    *("site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3"),
    *("encodings", "pydoc_data"),
}


class DataError(ValueError):
    """A corpus is missing, empty, or not what was expected."""


@dataclass(frozen=True)
class Document:
    """A text with a name that does not depend on where the corpus lies."""

    name: str
    text: str


def documents(
    source: CorpusSource, path: str, *, pattern: str = "*", separator: str = ""
) -> Iterator[Document]:
    """Read a corpus, document by document.

    Args:
        source: `file`, `folder`, `stdlib`, `stdlib-docs`, or `datasets` for a data set of that
            library.
        path: The file (`.gz` and `.xz` are unpacked), the folder, or the name of the data set.
        pattern: Which files of a folder, at any depth.
        separator: What stands between the documents of a file; a file is one document without.

    Raises:
        DataError: When something is missing, or is not text.

    Example:
        >>> any(d.name == "heapq.py" for d in documents("stdlib", ""))
        True
    """
    if not path and not source.startswith("stdlib"):
        raise DataError(f"--data.path is missing: {_PLACES[source]}")
    if source == "file":
        yield from _file(Path(path), separator)
    elif source == "folder":
        yield from _folder(Path(path), pattern, separator)
    elif source == "stdlib":
        yield from _library()
    elif source == "stdlib-docs":
        yield from _docs()
    else:
        yield from _dataset(path)


@contextmanager
def _open(file: Path) -> Iterator[TextIO]:
    """Open a file as text, unpacked, and say in one line what is wrong with it."""
    if not file.is_file():
        raise DataError(f"{file} is not a file")
    try:
        with _OPEN.get(file.suffix, open)(file, "rt", encoding="utf-8", newline="") as stream:
            yield stream
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{file} is not UTF-8: it holds a byte {byte:#x}") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{file} is not readable: {error}") from None


def _file(file: Path, separator: str, name: str = "") -> Iterator[Document]:
    name = name or file.name
    with _open(file) as stream:
        if not separator:
            yield Document(name, stream.read())
            return
        for i, part in enumerate(_split(iter(lambda: stream.read(2**20), ""), separator)):
            if part.strip():
                yield Document(f"{name}#{i}", part)


def _split(pieces: Iterable[str], separator: str) -> Iterator[str]:
    """Split a text that comes in pieces, as it may be larger than memory."""
    held, end = [], ""  # what no separator has ended, and where one may have begun
    for piece in pieces:
        held.append(piece)
        recent = end + piece
        if separator in recent:
            *parts, rest = "".join(held).split(separator)
            held = [rest]
            yield from parts
        end = recent[len(recent) - len(separator) + 1 :]
    yield "".join(held)


def _folder(root: Path, pattern: str, separator: str) -> Iterator[Document]:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder")
    if Path(pattern).anchor:
        raise DataError(f"{pattern!r} is no pattern of files, *.txt, but a path from the root")
    try:
        found = sorted(p for p in root.rglob(pattern) if p.is_file() and not _hidden(p, root))
    except ValueError as error:
        raise DataError(f"{pattern!r} is no pattern of files such as *.txt: {error}") from None
    if not found:
        raise DataError(f"{root} has no files {pattern}")
    for file in found:
        yield from _file(file, separator, file.relative_to(root).as_posix())


def _hidden(file: Path, root: Path) -> bool:
    """Say whether a file is hidden, or lies in a hidden folder such as `.git`."""
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _library() -> Iterator[Document]:
    root = Path(sysconfig.get_path("stdlib"))
    for file in sorted(root.rglob("*.py")):
        place = file.relative_to(root)
        if _NOT_LIBRARY & set(place.parts):
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):  # a few old files are in other encodings
            continue
        if text.strip():
            yield Document(place.as_posix(), text)


def _docs() -> Iterator[Document]:
    for source in _library():
        english = "\n\n".join(_docstrings(source.text))
        if english:
            yield Document(source.name, english)
    from pydoc_data.topics import topics

    for name, text in sorted(topics.items()):
        yield Document(f"topic {name}", text)


def _docstrings(source: str) -> Iterable[str]:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    try:
        nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, holders)]
    except SyntaxError:
        return []
    found = (ast.get_docstring(node, clean=False) for node in nodes)
    return [inspect.cleandoc(text) for text in found if text and text.strip()]


def _dataset(name: str) -> Iterator[Document]:
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DataError("the source datasets needs a package: pip install datasets") from None
    try:
        rows = load_dataset(name, split="train", streaming=True)
        for i, row in enumerate(rows):
            yield Document(f"{name}#{i}", row["text"])
    except KeyError:
        raise DataError(f"the data set {name} has no column 'text'") from None
    except Exception as error:  # the library has errors of many kinds
        raise DataError(f"the data set {name} cannot be had: {error}") from None
