"""What it takes to start: a new interpreter that imports what sampling needs, and `--help`."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator

from peers.job import Job

__all__ = ["diffusers", "feller_alone", "flow_matching", "torchcfm"]

OURS = "from feller.core import GaussianPath, simulate"


def children() -> float:
    """Return the seconds of processor that ended children took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def python(code: str) -> Callable[[], object]:
    """Return what runs code in a new interpreter, whose modules are compiled at the first run."""
    settings = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    return lambda: subprocess.run(command, check=True, capture_output=True, env=settings)


def job(package: str, theirs: str) -> Job:
    return Job(
        part="Start-up",
        name="a path and a solver imported",
        package=package,
        peer=theirs,
        ours=python(OURS),
        theirs=python(theirs),
        rounds=5,
        clock=children,
    )


def flow_matching() -> Iterator[Job]:
    import flow_matching as found  # noqa: F401

    first, then = (
        "flow_matching.path import AffineProbPath",
        "flow_matching.solver import ODESolver",
    )
    yield job("flow-matching", f"from {first}; from {then}")


def torchcfm() -> Iterator[Job]:
    import torchcfm as found  # noqa: F401

    yield job("torchcfm", "from torchcfm import ConditionalFlowMatcher")


def diffusers() -> Iterator[Job]:
    import diffusers as found  # noqa: F401

    yield job("diffusers", "from diffusers import UNet2DModel, DDIMScheduler")


def feller_alone() -> Iterator[Job]:
    for name, code in (
        ("feller --help", "from feller.core.cli import main; main(['--help'])"),
        ("feller list", "from feller.core.cli import main; main(['list'])"),
    ):
        yield Job(part="Start-up", name=name, ours=python(code), rounds=5, clock=children)
