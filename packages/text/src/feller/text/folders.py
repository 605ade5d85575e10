"""Folders of text: their files, what changes with them, and whether two lie apart.

A link to a folder is followed, once, where it leads out of the folder; what lies inside is read in
any case. `Path.rglob` follows none, and a corpus that is linked together would lack most of itself.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from feller.text.packed import DataError

__all__ = ["files_read", "files_under", "refuse_overlap", "state_of"]


def files_under(root: Path, pattern: str = "*") -> list[Path]:
    """Return the files of a folder that match a pattern, at any depth, in order.

    Raises:
        ValueError: When it is not a pattern.
    """
    return sorted({p for folder in _folders(root) for p in folder.rglob(pattern) if p.is_file()})


def files_read(path: str, pattern: str = "*") -> set[str]:
    """Return the files that a file or folder stands for, links resolved; none of what is neither.

    Example:
        >>> files_read("nowhere")
        set()
    """
    root = Path(path)
    files = files_under(root, pattern) if root.is_dir() else [root] if root.is_file() else []
    return {str(file.resolve()) for file in files}


def refuse_overlap(path: str, test_path: str, read: Callable[[str], set[str]] = files_read) -> None:
    """Reject a text that is held out and trained on.

    Args:
        path: What is trained on.
        test_path: What is held out.
        read: From each to the files that are read.

    Raises:
        DataError: When both are one folder, one lies in the other, or a file is read of both.
    """
    one, other = Path(path).resolve(), Path(test_path).resolve()
    if one == other or one in other.parents or other in one.parents:
        raise DataError(
            f"--data.test-path {test_path} is held out, and --data.path {path} trains on it: give "
            "two folders that lie apart"
        )
    for file in sorted(read(path) & read(test_path))[:1]:
        raise DataError(f"{file} is held out, and trained on: give two separate texts")


def state_of(path: str) -> list[object]:
    """Return what changes when a file or folder does."""
    root = Path(path)
    if not root.exists():
        return [path]
    files = [root] if root.is_file() else files_under(root)
    states = ((p.relative_to(root).as_posix(), p.stat()) for p in files)
    return [[name, state.st_size, state.st_mtime_ns] for name, state in states]


def _folders(root: Path) -> Iterator[Path]:
    """Yield a folder, and the folders outside that links in it lead to, each once."""
    known, waiting = [root.resolve()], [root]
    while waiting:
        yield (folder := waiting.pop())
        for link in sorted(p for p in folder.rglob("*") if p.is_symlink() and p.is_dir()):
            real = link.resolve()
            # Inside what is read already, or around it, in a circle.
            if any(real == k or k in real.parents or real in k.parents for k in known):
                continue
            known.append(real)
            waiting.append(link)
