"""Where text comes from: files, folders, tables, and Python's own library.

A corpus is a sequence of documents. They are read a passage at a time, since a document may be
larger than memory. `stdlib` is always available: the source of Python's standard library;
`stdlib-docs` is the English text in it.
"""

import ast
import inspect
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from feller.text.folders import files_under
from feller.text.packed import DataError, open_text, suffix_of
from feller.text.shards import shard_texts
from feller.text.tables import (
    Table,
    has_saved_data,
    is_table,
    rows_of_data_set,
    rows_of_file,
)

__all__ = [
    "Corpus",
    "CorpusSource",
    "DataError",
    "Document",
    "Passage",
    "documents",
    "joined",
    "passages",
]

CorpusSource = Literal["file", "folder", "stdlib", "stdlib-docs", "datasets", "shards"]

LONGEST = 2**18
"""Characters of a passage, at most twice."""

_PLACES: Mapping[str, str] = MappingProxyType(
    {
        "file": "give a file of text, or another --data.source",
        "folder": "give the folder of the text",
        "datasets": "give the name of the data set, or the folder where it was saved",
        "shards": "give a folder or a pattern of shards, or their address",
    }
)
# Other people's packages; tests; and what a program wrote: tables of encodings, topics of help.
_NOT_LIBRARY = {
    *("site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3"),
    *("encodings", "pydoc_data"),
}


@dataclass(frozen=True)
class Document:
    """A text with a name that does not depend on the location of the corpus."""

    name: str
    text: str


@dataclass(frozen=True)
class Passage:
    """A part of a document, which continues in the next passage unless it ends here."""

    name: str
    text: str
    ends: bool = True


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Where text is, and how it is split into documents.

    Attributes:
        source: `file`, `folder`, `shards`, `stdlib`, `stdlib-docs`, or `datasets` for a data set of
            that library.
        path: The file (`.gz`, `.xz` and `.bz2` are unpacked), the folder, or the name of the data
            set or the folder where it was saved.
        pattern: Which files of a folder, at any depth.
        separator: String between the documents of a file; without it a file is one document. A row
            of a table is always a document.
        table: Which texts of a table are read: of a `.jsonl`, `.json`, `.csv`, `.tsv` or
            `.parquet` file, or a data set.
    """

    source: CorpusSource
    path: str = ""
    pattern: str = "*"
    separator: str = ""
    table: Table = field(default_factory=Table)


def documents(
    source: CorpusSource,
    path: str = "",
    *,
    pattern: str = "*",
    separator: str = "",
    table: Table | None = None,
) -> Iterator[Document]:
    """Read a corpus, document by document; arguments as the fields of `Corpus`.

    Raises:
        DataError: When something is missing, or is not text.

    Example:
        >>> any(d.name == "heapq.py" for d in documents("stdlib"))
        True
    """
    corpus = Corpus(
        source=source, path=path, pattern=pattern, separator=separator, table=table or Table()
    )
    return joined(passages(corpus))


def joined(parts: Iterable[Passage]) -> Iterator[Document]:
    """Return whole documents.

    Example:
        >>> list(joined([Passage("a", "to", ends=False), Passage("a", " be")]))
        [Document(name='a', text='to be')]
    """
    held: list[str] = []
    for part in parts:
        held.append(part.text)
        if part.ends:
            yield Document(part.name, "".join(held))
            held = []


def passages(corpus: Corpus) -> Iterator[Passage]:
    """Read a corpus a passage at a time; no more of a text is in memory at once.

    Raises:
        DataError: When something is missing, or is not text.
    """
    path = Path(corpus.path)
    if not corpus.path and not corpus.source.startswith("stdlib"):
        raise DataError(f"--data.path is missing: {_PLACES[corpus.source]}")
    if corpus.source == "file" or (corpus.source == "datasets" and path.is_file()):
        yield from _parted(_file(path, corpus), corpus)
    elif corpus.source == "folder":
        yield from _parted(_folder(path, corpus), corpus)
    elif corpus.source == "stdlib":
        yield from _whole(_library())
    elif corpus.source == "stdlib-docs":
        yield from _whole(_docs())
    elif corpus.source == "shards":
        yield from _whole(
            Document(*found) for found in shard_texts(corpus.path, corpus.table.column)
        )
    else:
        yield from _rows(corpus.path, rows_of_data_set(corpus.path, corpus.table))


def _parted(parts: Iterable[Passage], corpus: Corpus) -> Iterator[Passage]:
    r"""Reject a separator with a backslash that is nowhere: of a shell, `\n` is two characters."""
    found = False
    for part in parts:
        found = found or not part.name.endswith("#0")
        yield part
    if "\\" in corpus.separator and not found:
        raise DataError(
            f"{corpus.path} has no separator {corpus.separator!r}: for a new line, a shell takes "
            "$'\\n', and feller no backslash"
        )


def _whole(found: Iterable[Document]) -> Iterator[Passage]:
    return (Passage(document.name, document.text) for document in found)


def _rows(name: str, texts: Iterable[str]) -> Iterator[Passage]:
    return (Passage(f"{name}#{i}", text) for i, text in enumerate(texts))


def _file(file: Path, corpus: Corpus, name: str = "") -> Iterator[Passage]:
    name = name or file.name
    if is_table(file, corpus.table):
        yield from _rows(name, rows_of_file(file, corpus.table))
        return
    if suffix_of(file) == ".parquet" or suffix_of(file) == ".arrow":
        raise DataError(f"{file} is not text: give --data.column, or --data.source datasets")
    with open_text(file) as stream:
        pieces = iter(lambda: stream.read(LONGEST), "")
        if corpus.separator:
            yield from _spoken(_split(pieces, corpus.separator), name)
        else:
            held = next(pieces, "")
            for piece in pieces:
                yield Passage(name, held, ends=False)
                held = piece
            yield Passage(name, held)


def _split(pieces: Iterable[str], separator: str) -> Iterator[tuple[str, bool]]:
    """Split a text that comes in pieces; yield parts, and whether a part ends there."""
    held = ""  # what no separator has ended
    for piece in pieces:
        *parts, held = (held + piece).split(separator)
        for part in parts:
            yield part, True
        # A separator may have begun in the last characters.
        if (whole := len(held) - len(separator) + 1) >= LONGEST:
            yield held[:whole], False
            held = held[whole:]
    yield held, True


def _spoken(parts: Iterable[tuple[str, bool]], name: str) -> Iterator[Passage]:
    """Number the documents between separators, and leave out those of white space."""
    number, begun, blank = 0, False, ""
    for part, ends in parts:
        text = blank + part
        begun = begun or bool(text.strip())
        if begun:
            yield Passage(f"{name}#{number}", text, ends)
        blank = "" if begun or ends else text
        number, begun = number + ends, begun and not ends


def _folder(root: Path, corpus: Corpus) -> Iterator[Passage]:
    pattern = corpus.pattern
    if not root.is_dir():
        raise DataError(f"{root} is not a folder")
    if has_saved_data(root):
        raise DataError(f"{root} is a data set that was saved: give --data.source datasets")
    if Path(pattern).anchor:
        raise DataError(f"{pattern!r} is an absolute path, not a file pattern such as *.txt")
    try:
        found = [p for p in files_under(root, pattern) if not _hidden(p, root)]
    except ValueError as error:
        raise DataError(f"{pattern!r} is not a file pattern such as *.txt: {error}") from None
    if not found:
        raise DataError(f"{root} has no files {pattern}")
    for file in found:
        yield from _file(file, corpus, file.relative_to(root).as_posix())


def _hidden(file: Path, root: Path) -> bool:
    """Return whether a file is hidden, or lies in a hidden folder such as `.git`."""
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _library() -> Iterator[Document]:
    root = Path(sysconfig.get_path("stdlib"))
    for file in sorted(root.rglob("*.py")):
        relative = file.relative_to(root)
        if _NOT_LIBRARY & set(relative.parts):
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):  # a few old files are in other encodings
            continue
        if text.strip():
            yield Document(relative.as_posix(), text)


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
