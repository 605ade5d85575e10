"""Structures of the Protein Data Bank, downloaded by biotite's client.

A file appears whole or not at all, so that what is there need not be fetched again.
"""

import importlib
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm.auto import tqdm

from feller.proteins.structure.reading import Refusal, sorted_out

__all__ = ["Fetched", "fetch"]

Form = Literal["bcif", "cif", "pdb"]

_CLIENT = "biotite.database.rcsb.download"
_ADDRESSES = ("_standard_url", "_bcif_url")
_ID = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Fetched:
    """What came, and what did not.

    Attributes:
        files: In the order of their ids.
        refusals: One for each id that failed, with a reason.
    """

    files: tuple[Path, ...]
    refusals: tuple[Refusal, ...]


def fetch(
    ids: Sequence[str],
    folder: str | Path,
    *,
    form: Form = "bcif",
    address: str = "",
    workers: int = 4,
) -> Fetched:
    """Download structures, those that are not there yet.

    Args:
        ids: Such as `1ubq`.
        folder: Where `ID.FORM` goes; it is made.
        form: The file format.
        address: Of another server that has `ID.FORM` under it; that of the data bank when empty.
        workers: Downloads at a time.

    Raises:
        ValueError: When this version of biotite has no address that can be set.

    Example:
        >>> import tempfile
        >>> fetch(["no/id"], tempfile.mkdtemp()).refusals[0].reason
        "'no/id' is not an id: letters and digits, such as 1ubq"
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(dict.fromkeys(ids))
    with _addressed(address), ThreadPoolExecutor(max(1, workers)) as pool:
        results = pool.map(lambda one: _fetch(one, folder, form), wanted)
        every = list(tqdm(results, total=len(wanted), desc="fetching", mininterval=1.0))
    files, refusals = sorted_out(every)
    return Fetched(tuple(files), tuple(refusals))


def _fetch(one: str, folder: Path, form: Form) -> Path | Refusal:
    if not _ID.fullmatch(one):
        return Refusal(one, f"{one!r} is not an id: letters and digits, such as 1ubq", "not an id")
    from biotite.database import rcsb

    file = folder / f"{one}.{form}"
    if file.is_file() and file.stat().st_size:
        return file
    partial = folder / f".{file.name}.{os.getpid()}"
    try:
        content = rcsb.fetch(one, form).getvalue()  # pyright: ignore[reportAttributeAccessIssue]
        partial.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(partial, file)  # noqa: PTH105  (atomic, the point of it)
    except Exception as error:  # biotite, requests and the disk have errors of many kinds
        return Refusal(one, f"not fetched: {' '.join(str(error).split())}", "not fetched")
    finally:
        partial.unlink(missing_ok=True)
    return file


@contextmanager
def _addressed(address: str) -> Iterator[None]:
    """Point biotite's client at another server; it has no argument for this."""
    client = importlib.import_module(_CLIENT)
    before = {name: getattr(client, name, None) for name in _ADDRESSES}
    if address and None in before.values():
        raise ValueError("this version of biotite has no address that can be set: leave it out")
    try:
        if address:
            vars(client).update(dict.fromkeys(_ADDRESSES, address.rstrip("/") + "/"))
        yield
    finally:
        vars(client).update({name: value for name, value in before.items() if value is not None})
