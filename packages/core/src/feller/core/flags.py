"""Flags of a command, read into a dataclass by tyro; errors are one line."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from typing import Any, TypeVar

__all__ = ["parse_flags"]

T = TypeVar("T")

_FRAME = "│╭╮╰╯─|+- \t"


def parse_flags(form: type[T], argv: Sequence[str], *, prog: str, **settings: Any) -> T:
    """Read flags.

    Args:
        form: The dataclass whose fields they are; its docstring is their help.
        argv: The flags.
        prog: The command they belong to, as typed.
        settings: Further arguments of `tyro.cli`, such as `default` and `description`.

    Raises:
        ValueError: When a flag is unknown, lacks its value or has one of the wrong type.
        SystemExit: After printing help.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Flags:
        ...     n: int = 16
        >>> parse_flags(Flags, ["--n", "4"], prog="feller count")
        Flags(n=4)
        >>> try:
        ...     parse_flags(Flags, ["--n", "four"], prog="feller count")
        ... except ValueError as error:
        ...     print(str(error).split("; ")[-1])
        see feller count --help
    """
    import tyro

    said = io.StringIO()
    asked = {"-h", "--help"} & set(argv)  # help is as wide as the terminal, one line is not
    try:
        with redirect_stderr(said), nullcontext() if asked else _wide():
            return tyro.cli(
                form, args=list(argv), prog=prog, config=(tyro.conf.AvoidSubcommands,), **settings
            )
    except SystemExit as end:
        if end.code:
            raise ValueError(_line(said.getvalue(), prog)) from None
        sys.stderr.write(said.getvalue())
        raise


@contextmanager
def _wide() -> Iterator[None]:
    """Let what is printed be of any width: tyro breaks lines, and words that are long."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100000"
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        os.environ.update({} if before is None else {"COLUMNS": before})


def _line(box: str, prog: str) -> str:
    """Return what a box of tyro's says: what is wrong, and which flags may be meant."""
    parts: list[list[str]] = [[]]
    for framed in box.splitlines()[1:]:  # after the title
        text = framed.strip("│ ")
        if text.strip(_FRAME):
            parts[-1].append(text)
        else:
            parts.append([])
    parts = [part for part in parts if part]
    meant = [
        line
        for part in parts[1:]
        if part[0].startswith("Perhaps")
        for line in part
        if line.startswith("-")
    ]
    said = [" ".join(parts[0]).rstrip(".")] + [f"did you mean {' or '.join(meant)}"] * bool(meant)
    return "; ".join([*said, f"see {prog} --help"])
