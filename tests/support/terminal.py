"""The command line, called without a new process."""

import contextlib
import io
from typing import NamedTuple

from feller.core.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def feller(*argv):
    """What `feller ARGV` returns and prints."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(argument) for argument in argv])
        except SystemExit as leave:
            code = leave.code or 0
    return Outcome(code, out.getvalue(), err.getvalue())


def complaint(*argv):
    """The one line that `feller ARGV` says when it refuses, after what it says of its data."""
    code, _, err = feller(*argv)
    assert code == 2
    assert err.endswith("\n")
    lines = err.splitlines()
    assert sum(line.startswith("feller") for line in lines) == 1, err
    assert len(lines) <= 2, err
    return lines[-1]
