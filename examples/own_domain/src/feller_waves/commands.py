"""`feller sample` for waves. A command takes the name of a model, and the flags after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from feller.core import load
from feller_waves.models import WaveModel


@dataclass(frozen=True)
class SampleFlags:
    """Draw waves."""

    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 8
    """How many."""
    steps: int = 20
    """Steps."""
    seed: int = 0
    """Chooses the waves."""
    out: Path = Path("waves.csv")
    """Where they go, a wave a line."""


def sample(name: str, argv: Sequence[str]) -> None:
    """Draw waves of a model into a file."""
    flags = tyro.cli(SampleFlags, args=list(argv), prog=f"feller sample {name}")
    waves = load(name, WaveModel).sample(flags.n, steps=flags.steps, seed=flags.seed)
    np.savetxt(flags.out, waves.numpy(), delimiter=",")
    print(f"{flags.out}: {flags.n} waves")
