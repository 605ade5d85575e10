"""Files and folders that appear whole or not at all, and are read back as they were written.

What feller keeps goes through here. It is written beside its target, as `.NAME.partial`, flushed to
the disk, and moved there by a rename. What it replaces is exchanged with it, or renamed first, to
`.NAME.old`, where a disk cannot exchange names, and deleted last. So whatever the moment at which a
process or a machine dies, one whole state is there.
A folder that only feller reads is sealed: `SHA256SUMS` holds the digests of its files, in the form
of `sha256sum -c`.
"""

import ctypes
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

__all__ = [
    "abandon", "begin", "beginning_of", "digest", "flush", "is_left", "keep_others", "locked",
    "naming", "publish", "published", "read_json", "remove", "sweep", "verify", "write_text",
]  # fmt: skip

SUMS = "SHA256SUMS"
DEEPEST = 100
"""Levels of a JSON file. A recipe has about six."""


@contextmanager
def published(folder: Path, *, sealed: bool = False) -> Iterator[Path]:
    """Yield an empty folder to write into; it replaces `folder` at the end.

    Where the body raises, `folder` is as it was.

    Args:
        folder: The target, which may hold an older folder.
        sealed: Whether digests of the files go with them, for `verify`.

    Raises:
        OSError: When it cannot be written, as on a full disk.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as home:
        ...     with published(Path(home, "a")) as fresh:
        ...         _ = (fresh / "one.txt").write_text("1")
        ...     [file.name for file in Path(home, "a").iterdir()]
        ['one.txt']
    """
    try:
        with naming(folder):
            yield begin(folder)
            publish(folder, sealed=sealed)
    finally:
        abandon(folder)


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Say in one line which folder cannot be written.

    Raises:
        OSError: In place of any other that is raised.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"{folder} cannot be written: {reason}") from None


def begin(folder: Path) -> Path:
    """Return an empty folder to write into, until `publish` puts it in the place of `folder`."""
    abandon(folder)
    partial = beginning_of(folder)
    partial.mkdir(parents=True)
    return partial


def beginning_of(folder: Path) -> Path:
    """Return the folder that `begin` makes."""
    return folder.with_name(f".{folder.name}.partial")


def abandon(folder: Path) -> None:
    """Delete what was begun for `folder`, if anything; `folder` itself is as it was."""
    shutil.rmtree(beginning_of(folder), ignore_errors=True)


def publish(folder: Path, *, sealed: bool = False) -> None:
    """Put what was written since `begin` in the place of `folder`, once all of it is on the disk.

    Args:
        folder: The target.
        sealed: Whether digests of the files go with them, for `verify`.
    """
    partial = beginning_of(folder)
    if sealed:
        files = sorted(partial.iterdir())
        sums = "".join(f"{digest(file)}  {file.name}\n" for file in files)
        (partial / SUMS).write_text(sums)
    for path in [*partial.rglob("*"), partial]:
        if not path.is_symlink():  # what it points to was not written here
            flush(path)
    _swap(partial, folder)


def keep_others(folder: Path, fresh: Path) -> None:
    """Keep other files of a folder, such as the user's notes, in the folder that replaces it.

    Args:
        folder: The folder to replace, if it exists.
        fresh: The folder that replaces it, already written.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        target = fresh / path.name
        if target.exists():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, target, symlinks=True, copy_function=_link)
        else:
            _link(path, target)


def write_text(file: Path, text: str) -> None:
    """Write a file that is the old or the new one, whatever happens."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        flush(partial)
        os.replace(partial, file)  # noqa: PTH105  (atomic, the point of it)
        flush(file.parent)
    finally:
        partial.unlink(missing_ok=True)


def verify(folder: Path) -> None:
    """Hold the files of a sealed folder against their digests.

    Raises:
        ValueError: When one is missing or is not as it was written.
    """
    lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    sums = {name: known for known, _, name in (line.partition("  ") for line in lines)}
    found = {p.name for p in folder.iterdir()} - {SUMS}
    if odd := sorted(sums.keys() ^ found):
        raise ValueError(f"{odd[0][:80]} is {'missing' if odd[0] in sums else f'not in {SUMS}'}")
    for name, known in sums.items():
        if digest(folder / name) != known:
            raise ValueError(f"the SHA-256 of {name} is not that in {SUMS}")


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove(folder: Path) -> None:
    """Delete a folder; at no moment is half of it there under its name."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    os.replace(folder, old)  # noqa: PTH105
    shutil.rmtree(old, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Delete what processes that were killed left half written or half deleted in a folder."""
    for left in [*folder.glob(".*.partial"), *folder.glob(".*.old")]:
        shutil.rmtree(left, ignore_errors=True)


def is_left(path: Path) -> bool:
    """Return whether something is what a process that was killed left, by its name.

    Example:
        >>> is_left(Path("a/.recipe.json.partial")), is_left(Path("a/recipe.json"))
        (True, False)
    """
    return path.name.startswith(".") and path.suffix in (".partial", ".old")


@contextmanager
def locked(folder: Path, *, patience: float = 10.0) -> Iterator[None]:
    """Keep a folder for this process; the lock ends with the process, however that ends.

    Args:
        folder: The folder, made if there is none.
        patience: Seconds to wait, in which what a killed process began ends too.

    Raises:
        ValueError: When another process has it.
    """
    from filelock import FileLock, Timeout  # 0.1 s, which `feller list` does without

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f"{folder} is in use by another process: let it end first") from None
    try:
        yield
    finally:
        lock.release()


def flush(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk."""
    if os.name != "posix" and path.is_dir():
        return  # folders have no such thing elsewhere
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(file: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        ValueError: When it is not JSON, or nested deeper than anything feller writes.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        lines = json.dumps(value, indent=1).splitlines()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if max(len(line) - len(line.lstrip(" ")) for line in lines) >= DEEPEST:
        raise ValueError("it is nested too deeply")
    return value


def _link(path: Any, target: Any) -> None:
    """Hard-link a file, or copy it.

    Disks without links raise `OSError`; `os.link` raises `NotImplementedError` on systems that
    cannot link to a symlink itself.
    """
    try:
        os.link(path, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(path, target, follow_symlinks=False)


def _swap(fresh: Path, folder: Path) -> None:
    """Replace a folder by another; the old one is removed last."""
    if folder.exists() and _exchange(fresh, folder):
        flush(folder.parent)
        shutil.rmtree(fresh, ignore_errors=True)
        return
    old = folder.with_name(f".{folder.name}.old")
    if replaced := folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)  # noqa: PTH105
    try:
        os.replace(fresh, folder)  # noqa: PTH105
    except OSError:
        if replaced:
            os.replace(old, folder)  # noqa: PTH105
        raise
    flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once, where the system can; at no moment is one of them missing."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    if rename is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of Linux's renameat2(2)
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0
