"""Texts into files: plain text, a JSON object a line, or a picture, by the suffix."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["add_text", "check_target", "printable"]

SUFFIXES = (".txt", ".jsonl", ".png")
RULE = "-" * 16


def check_target(out: Path) -> None:
    """Reject a target that cannot be written, before anything is computed.

    Raises:
        ValueError: When the suffix is unknown, a folder is there, or its folder cannot be written.
    """
    if out.suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ValueError(f"--out ends in one of {known} (a picture of the first), not {out.name}")
    if out.is_dir():
        raise ValueError(f"{out} is a folder: choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK):
        raise ValueError(f"{out.parent} cannot be written to: choose another --out")


def printable(text: str) -> str:
    """Return a text as the terminal can show it, with `?` for what its encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def add_text(text: str, out: Path | None, facts: Mapping[str, object], *, first: bool) -> None:
    r"""Add a text to a file or the terminal, where it is whole at once: a run may end any time.

    Args:
        text: The text.
        out: `.txt`, with a rule between texts, or `.jsonl`, with an object `{"text": ...}` each;
            None for the terminal, which looks like `.txt`.
        facts: What else an object says.
        first: Whether it begins the file, of which nothing is kept, instead of following others.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> add_text("To be", out, {"nfe": 3}, first=True)
        >>> out.read_text()
        '{"text": "To be", "nfe": 3}\n'
    """
    if out is not None and out.suffix == ".jsonl":
        piece = json.dumps({"text": text, **facts}, ensure_ascii=False)
    else:
        piece = text if first else f"{RULE}\n{text}"
    if out is None:
        print(printable(piece), flush=True)
        return
    check_target(out)
    # Unbuffered, so that a line is one write and never half there.
    with out.open("wb" if first else "ab", buffering=0) as stream:
        stream.write(f"{piece}\n".encode())
