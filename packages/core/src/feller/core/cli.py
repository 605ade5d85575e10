"""The command `feller`. Each command is a module that is imported when it is called."""

import importlib
import keyword
import os
import re
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from feller.core.domains import RegistryError

__all__ = ["main"]

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "list": "list the installed models and recipes",
        "show": "print the card of a model",
        "sample": "sample from a model into files",
        "train": "train a recipe, or resume a run",
        "plan": "estimate the memory and time of a training run",
        "runs": "list the runs in a folder, and plot their losses",
        "import": "import a model of another library",
        "export": "export a model to another library",
        "push": "put a model on the Hugging Face Hub",
        "evaluate": "measure a model against data",
        "verify": "check solutions, or a model, against the Kolmogorov equation",
        "demo": "sample every bundled model and write a page of the results",
        "app": "watch models sample in a browser, with controls",
    }
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code.

    0, or what the command returns: 1 if a check fails. 2 after a one-line
    error. 130 after Ctrl-C, 143 if SIGTERM ended training: 128 plus the signal's number.

    With `FELLER_TRACEBACK=1` in the environment errors keep their traceback.
    """
    _open_closed()
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            _flush()
    except BrokenPipeError:
        # The reader left, as in `feller list | head -1`. What is still to be written goes nowhere.
        _drop(sys.stdout, sys.stderr)
        return 0
    except KeyboardInterrupt as error:
        return 128 + getattr(error, "number", signal.SIGINT)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if arguments[0] == "--version":
        print(_versions())
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        print(f"feller: unknown command {name!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    try:
        with warnings.catch_warnings():
            # What torch itself calls at its first forward-mode derivative.
            warnings.filterwarnings("ignore", "`torch.jit.script` is ", FutureWarning)
            module = name + "_" * keyword.iskeyword(name)
            return importlib.import_module(f"feller.core.commands.{module}").run(rest) or 0
    except BrokenPipeError:
        raise
    except (ValueError, RegistryError, OSError) as error:
        if os.environ.get("FELLER_TRACEBACK"):
            raise
        print(f"feller {name}: {_line(error)}", file=sys.stderr)
        return 2


def _open_closed() -> None:
    """Let what is said to a closed output (`feller ... >&-`) go nowhere: Python has None there."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:  # the disk that it goes to is full
        print(f"feller: {error}", file=sys.stderr)
        _drop(sys.stdout)
        raise SystemExit(2) from None


def _drop(*streams: TextIO) -> None:
    for stream in streams:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _line(error: Exception) -> str:
    """Return the message of an error in one line."""
    text = str(error)
    if text.startswith("Caught "):  # in a worker of a DataLoader: its traceback comes first
        text = re.split(rf"\n(?:[\w.]+\.)?{type(error).__name__}: ", text)[-1]
    return " ".join(line.strip() for line in text.splitlines())


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: feller COMMAND ...",
            "",
            *lines,
            "",
            "`feller COMMAND --help` says more, `feller --version` what is installed.",
        ]
    )


def _versions() -> str:
    """Return the version of the core, and of each package that brings a domain."""
    from importlib.metadata import entry_points, version

    packages = [point.dist for point in entry_points(group="feller.domains")]
    found = {each.name: each.version for each in packages if each is not None}
    return ", ".join(
        f"{name} {number}"
        for name, number in [("feller-core", version("feller-core")), *sorted(found.items())]
    )
