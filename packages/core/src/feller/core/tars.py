"""Tar files of the WebDataset layout: where the files of each sample lie in them."""

import os
import tarfile
from typing import NamedTuple

from feller.core.errors import DataError

__all__ = ["Part", "opened_file", "samples_of"]

_REST = 2**20  # bytes behind the end that are looked at


class Part(NamedTuple):
    """A file in a tar file.

    Attributes:
        ending: What follows the first dot of its name, in small letters.
        offset: Where it begins, in bytes.
        size: How many bytes it has.
    """

    ending: str
    offset: int
    size: int


def opened_file(name: str) -> int:
    """Return the number of a file that is open to read.

    Raises:
        DataError: When it cannot be read.
    """
    try:
        return os.open(name, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}") from None


def samples_of(file: int, name: str) -> list[list[Part]]:
    """Return where the files of each sample are, in the order of the tar file.

    Args:
        file: The number of the open file.
        name: What it is called where something is wrong.

    Raises:
        DataError: When it is not a tar file, is compressed, cut short or damaged.
    """
    found: dict[str, list[Part]] = {}
    try:
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(0)
            tar = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115
            for info in tar:
                home, _, last = info.name.rpartition("/")
                stem, dot, ending = last.partition(".")
                if info.isreg() and stem and dot:
                    part = Part(ending.lower(), info.offset_data, info.size)
                    found.setdefault(f"{home}/{stem}", []).append(part)
            _check_end(file, tar.offset)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise DataError(f"{name} is not a readable tar file without compression: {error}") from None
    return list(found.values())


def _check_end(file: int, offset: int) -> None:
    """Reject a tar file that is cut short, or goes on behind its end, which is a block of zeros."""
    rest = os.pread(file, _REST, offset)
    if len(rest) < 512 or rest.strip(b"\0"):
        raise tarfile.ReadError("it is damaged, cut short, or several in one")
