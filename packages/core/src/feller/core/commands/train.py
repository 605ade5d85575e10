"""`feller train RECIPE --out DIR`: train a recipe, or resume a run.

Every field of the recipe is a flag: `--data.root DIR --training.steps 20000 --optimizer.lr 1e-4`.
`--out DIR` is the folder of the run. The same command resumes it, on the same data; `--new-data`
allows other data. `--cpu` ignores accelerators. Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 stop it after
the current step: the state is saved, and the exit code is 128 + the number of the signal.
`--training.max-minutes 9` stops it the same way after 9 minutes, with exit code 0 and the model so
far, for time-limited jobs. For several processes: `accelerate launch -m feller.core train RECIPE
--out DIR`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feller.core.domains import recipe
from feller.core.flags import parse_flags

__all__ = ["parse_recipe", "run"]

_ABOUT = """Train into the folder `--out DIR` (required), or resume the run in it.

`--cpu` ignores accelerators (default: use one if there is one).

`--new-data` lets a run resume with other data (default: raise an error)."""


def run(argv: Sequence[str]) -> None:
    """Train."""
    parser = argparse.ArgumentParser("feller train", add_help=False, allow_abbrev=False)
    parser.add_argument("recipe", nargs="?")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--new-data", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    options, flags = parser.parse_known_args(argv)
    if options.recipe is None:
        print(f"usage: feller train RECIPE --out DIR [--cpu] [--new-data] [flags]\n\n{__doc__}")
        if not options.help:
            raise ValueError("a recipe is missing; `feller list` names them")
        return
    resolved = parse_recipe(options.recipe, [*flags, *(["--help"] if options.help else [])])
    if options.out is None:
        raise ValueError("--out DIR is missing: the folder of the run")
    from feller.core.training.trainer import train

    model = train(resolved, options.out, cpu=options.cpu, new_data=options.new_data)
    if model and int(os.environ.get("RANK", "0")) == 0:
        print(f"{model} is ready: feller sample {options.out}", file=sys.stderr)


def parse_recipe(name: str, flags: Sequence[str], *, command: str = "train") -> Any:
    """Return a recipe with flags laid over it."""
    base = recipe(name)
    return parse_flags(
        type(base),
        flags,
        default=base,
        prog=f"feller {command} {name}",
        description=_ABOUT,
    )
