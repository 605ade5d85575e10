"""`feller evaluate` for images: the figures of a model beside data."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, cast, get_args

import tyro

from feller.core.registry import data_of, load, read_card
from feller.images.commands.sample import sampling_of
from feller.images.data import ImageData, Source
from feller.images.sampling import GridName

__all__ = ["EvaluateFlags", "evaluate", "usual_data"]


@dataclass(frozen=True)
class EvaluateFlags:
    """Measure a model against data."""

    data: ImageData = field(default_factory=ImageData)
    """The data to compare with: those the model's card names, unless others are given."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1000
    """Samples for each figure."""
    guidance: float = 2.0
    """Scale of guidance for the conditional figures."""
    solver: str = "auto"
    """The solver; auto for one that suits the schedule."""
    steps: int = 20
    """Its steps."""
    grid: GridName = "auto"
    """Times of the steps; auto for those that suit the schedule and the solver."""
    end: float | None = None
    """The last time, in (0, 1]."""
    likelihood_n: int = 16
    """Test images for bits per dimension (default 16; 0 for none)."""
    likelihood_steps: int = 20
    """Steps of their likelihood, two network calls each (default 20)."""
    seed: int = 0
    """Chooses the samples."""
    device: str = "auto"
    """cpu, cuda, ...; auto (the default) takes an accelerator if there is one."""
    json: bool = False
    """Print JSON."""


def evaluate(name: str, argv: Sequence[str]) -> None:
    """Print the figures of a model.

    Raises:
        ValueError: When the data are not named, missing or corrupt.
    """
    from feller.images.metrics.likelihood import likelihood
    from feller.images.metrics.report import evaluate as measure

    flags = tyro.cli(
        EvaluateFlags,
        default=EvaluateFlags(data=usual_data(name, argv)),
        args=list(argv),
        prog=f"feller evaluate {name}",
        config=(tyro.conf.AvoidSubcommands,),
    )
    how = sampling_of(flags)
    if flags.likelihood_n < 0:
        raise ValueError(f"--likelihood-n is at least 0, not {flags.likelihood_n}")
    model = load(name, device=flags.device)
    metrics = measure(model, flags.data, how, n=flags.n, seed=flags.seed)
    if flags.likelihood_n:
        n, steps = flags.likelihood_n, flags.likelihood_steps
        metrics.append(likelihood(model, flags.data, n=n, steps=steps, seed=flags.seed))
    if flags.json:
        print(json.dumps([asdict(metric) for metric in metrics], indent=2))
        return
    for metric in metrics:
        print(f"{metric.name:28} {metric!s:32} {metric.protocol}".rstrip())


def usual_data(name: str, argv: Sequence[str]) -> ImageData:
    """Return the data of a model's run, or else those that its card names."""
    own = data_of(name)
    if isinstance(own, ImageData):
        return own
    source = read_card(name).dataset
    if source in get_args(Source):
        return ImageData(source=cast(Source, source))
    if not any(flag.split("=")[0] in ("--data.source", "-h", "--help") for flag in argv):
        raise ValueError(
            f"the card of {name} names no data set that feller has: give --data.source"
        )
    return ImageData()
