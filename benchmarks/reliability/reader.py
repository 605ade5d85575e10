"""What reads, as `fuzz.py` takes it, and how one is made of a file."""

import io
import os
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Reader", "apart", "of_file", "shards_of", "tar", "used_up"]


@dataclass(frozen=True)
class Reader:
    """What reads.

    Attributes:
        valid: Some valid inputs.
        read: Reads bytes: whole, with all that a user would get.
    """

    valid: list[bytes]
    read: Callable[[bytes], Any]


def used_up(found: Iterable[Any]) -> None:
    for _ in found:
        pass


def of_file(file: Path, valid: list[bytes], read: Callable[[Path], Any]) -> Reader:
    def written(data: bytes) -> Any:
        file.write_bytes(data)
        return read(file)

    return Reader(valid, written)


def tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()[: 512 * (2 * len(files) + 6)]


def apart(home: Path, reader: Reader) -> Reader:
    """Let shards be counted in a folder that goes with the input."""
    os.environ["XDG_CACHE_HOME"] = str(home / "cache")
    return reader


def shards_of(home: Path, valid: list[bytes], read: Callable[[Path], Any]) -> Reader:
    return apart(home, of_file(home / "a.tar", valid, read))
