"""Files of the web: read with patience, and refused in one line at last.

What passes is tried again after 1, 2, 4, ... seconds: connections that break off, and what a server
says for a while (408, 429, 5xx). What stays, such as 404, is refused at once.
"""

import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from feller.core.errors import DataError

__all__ = ["download", "is_remote", "read_remote"]

T = TypeVar("T")

TRIES = 6
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as broken."""
_PASSING = (408, 425, 429)
_BROKEN = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def is_remote(name: str) -> bool:
    """Return whether a name is an address of the web.

    Example:
        >>> is_remote("http://example.org/a.tar"), is_remote("a.tar")
        (True, False)
    """
    return name.startswith(("http://", "https://"))


def read_remote(url: str) -> bytes:
    """Return what is at an address.

    Raises:
        DataError: When it cannot be read.
    """
    return _patiently(url, lambda stream: stream.read())


def download(url: str, file: Path) -> None:
    """Write what is at an address into a file, which appears whole or not at all.

    Raises:
        DataError: When it cannot be read.
        OSError: When it cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")

    def copy(stream: Any) -> None:
        with partial.open("wb") as target:
            shutil.copyfileobj(stream, target, 2**20)
        size = stream.headers.get("Content-Length")
        if size is not None and partial.stat().st_size != int(size):
            raise http.client.IncompleteRead(b"")

    try:
        _patiently(url, copy)
        os.replace(partial, file)  # noqa: PTH105  (atomic, the point of it)
    finally:
        partial.unlink(missing_ok=True)


def _patiently(url: str, read: Callable[[Any], T]) -> T:
    """Read an address; try again what may pass."""
    reason = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(2.0 ** (attempt - 1))
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as stream:
                return read(stream)
        except urllib.error.HTTPError as error:
            reason = f"the server says {error.code} {error.reason}"
            if error.code < 500 and error.code not in _PASSING:
                raise DataError(f"{url} cannot be read: {reason}") from None
        except _BROKEN as error:
            reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        except ValueError as error:  # no address at all
            raise DataError(f"{url} cannot be read: {error}") from None
    raise DataError(f"{url} cannot be read after {TRIES} tries: {reason}")
