"""Files of text, packed or not, as streams of characters; a bomb of an archive is refused.

`.gz`, `.xz` and `.bz2` are unpacked. A file of a megabyte may unpack to gigabytes of nothing: what
comes out is at most `EXPANSION` times the file, or `SMALL` bytes where that is more.
"""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from feller.core.errors import DataError

__all__ = ["DataError", "check_characters", "open_text", "suffix_of"]

EXPANSION = 100
"""How many times its own size a packed file may unpack to."""

SMALL = 2**26
"""What any packed file may unpack to: 64 MiB."""

_OPEN: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
)
_ARCHIVES = {".zip", ".tar", ".tgz", ".7z", ".rar", ".zst", ".lz4"}


def suffix_of(file: Path) -> str:
    """Return what kind of file it is, packed or not, in small letters.

    Example:
        >>> suffix_of(Path("books.CSV.gz"))
        '.csv'
    """
    name = Path(file.stem) if file.suffix.lower() in _OPEN else file
    return name.suffix.lower()


def check_characters(text: str, name: str) -> None:
    r"""Reject halves of characters, which JSON can spell (`"\ud83d"`) and no text has.

    Raises:
        DataError: When there is one.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"U+{ord(text[error.start]):04X}"
        raise DataError(f"{name} is not text: it has {half}, half a character") from None


@contextmanager
def open_text(file: Path) -> Iterator[io.TextIOWrapper]:
    """Open a file as UTF-8 text, unpacked, with its line ends as they are.

    A mark of byte order at its beginning is left out: it is no part of the text.

    Raises:
        DataError: When it is missing, damaged, an archive of files or not UTF-8, begins with NUL
            bytes among others, or unpacks to more than `EXPANSION` times its size and `SMALL`.
    """
    if not file.is_file():
        raise DataError(f"{file} is not a file")
    if (kind := suffix_of(file)) in _ARCHIVES:
        raise DataError(f"{file} is an archive ({kind}): unpack it and give the file or the folder")
    try:
        with _stream(file) as stream:
            yield stream
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{file} is not UTF-8: it holds a byte {byte:#x}") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{file} is not readable: {error}") from None


def _stream(file: Path) -> io.TextIOWrapper:
    stream = _opened(file)
    # UTF-16 of plain letters, and archives, are valid UTF-8: letters with NUL between.
    if b"\0" in stream.peek(1):
        stream.close()
        raise DataError(f"{file} holds NUL bytes: it is UTF-16, or no text; give UTF-8")
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def _opened(file: Path) -> io.BufferedReader:
    if (kind := file.suffix.lower()) not in _OPEN:
        return file.open("rb")
    most = max(SMALL, EXPANSION * file.stat().st_size)
    return io.BufferedReader(_Bounded(_OPEN[kind](file, "rb"), most, file), 2**16)


class _Bounded(io.RawIOBase):
    """Bytes of a stream, until they are too many."""

    def __init__(self, stream: Any, most: int, file: Path) -> None:
        super().__init__()
        self._stream, self._left, self._file = stream, most, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise DataError(
                f"{self._file} unpacks to more than {EXPANSION} times its size and "
                f"{SMALL >> 20} MiB: if it is meant to, unpack it and give the file"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()
