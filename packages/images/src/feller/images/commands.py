"""What `feller sample`, `feller evaluate` and `feller demo` do for images."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, cast, get_args

import torch
import tyro
from jaxtyping import Int
from torch import Tensor

from feller.core.domains import list_models
from feller.core.registry import data_of, load, read_card
from feller.images.data import ImageData, Source
from feller.images.files import check_target, write_images
from feller.images.models import ImageModel
from feller.images.sampling import GridName, Sampling, suited

__all__ = ["demo", "evaluate", "sample", "usual_data"]


@dataclass(frozen=True)
class SampleFlags:
    """Draw images."""

    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 16
    """How many."""
    out: Path = Path("samples.png")
    """A .png grid, an .npz with `images` and `labels`, or a folder of images."""
    label: str | None = None
    """A class by name or number, several with commas, or `all`; any when absent."""
    guidance: float = 1.0
    """Scale of classifier-free guidance; 1 for none. Needs --label."""
    solver: str = "auto"
    """euler, midpoint, heun, rk4, dopri5, ddim, ddpm, dpm++ ...; auto for one that suits the
    schedule."""
    steps: int = 20
    """Steps of the solver."""
    grid: GridName = "auto"
    """Times of the steps; auto for those that suit the schedule and the solver."""
    end: float | None = None
    """The last time, in (0, 1]."""
    seed: int = 0
    """Image i depends on the seed and on i alone (with dopri5, to within its tolerance)."""
    device: str = "auto"
    """cpu, cuda, ...; an accelerator if there is one when absent."""
    json: bool = False
    """Print what was done as JSON."""


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
    seed: int = 0
    """Chooses the samples."""
    device: str = "auto"
    """cpu, cuda, ...; an accelerator if there is one when absent."""
    json: bool = False
    """Print JSON."""


def sample(name: str, argv: Sequence[str]) -> None:
    """Draw images from a model into files.

    Raises:
        ValueError: On an unknown label or solver, or a target that exists.
    """
    flags = tyro.cli(SampleFlags, args=list(argv), prog=f"feller sample {name}")
    if flags.n < 1:
        raise ValueError(f"-n is at least 1, not {flags.n}")
    check_target(flags.out)
    model = load(name, device=flags.device)
    check_target(flags.out, model.codec.shape[0])
    labels = _labels(model, flags.label, flags.n)
    if flags.guidance != 1 and labels is None:
        raise ValueError("--guidance needs --label: without one there is nothing to guide to")
    how = suited(_sampling(flags), model)
    start = time.perf_counter()
    images, nfe = model.draw(flags.n, labels, how, seed=flags.seed)
    seconds = time.perf_counter() - start
    write_images(images, labels, flags.out, model.codec.classes)
    report = {"out": str(flags.out), "n": flags.n, "nfe": nfe, "seconds": round(seconds, 3)}
    if flags.json:
        print(json.dumps(report | {"seed": flags.seed, "solver": how.solver}))
    else:
        print(f"{flags.out}: {flags.n} images, {nfe} network calls each, {seconds:.1f} s")


def evaluate(name: str, argv: Sequence[str]) -> None:
    """Print the figures of a model.

    Raises:
        ValueError: When the data are not named, missing or corrupt.
    """
    from feller.images.metrics import evaluate as measure

    flags = tyro.cli(
        EvaluateFlags,
        default=EvaluateFlags(data=usual_data(name, argv)),
        args=list(argv),
        prog=f"feller evaluate {name}",
        config=(tyro.conf.AvoidSubcommands,),
    )
    how = _sampling(flags)
    metrics = measure(load(name, device=flags.device), flags.data, how, n=flags.n, seed=flags.seed)
    if flags.json:
        print(json.dumps([asdict(metric) for metric in metrics], indent=2))
        return
    for metric in metrics:
        print(f"{metric.name:28} {metric!s:32} {metric.protocol}".rstrip())


def demo(out: Path) -> list[tuple[str, str, str]]:
    """Draw a grid from every bundled image model.

    Returns:
        A title, a file name and a caption for each.
    """
    figures = []
    for name in list_models("images/*"):
        model = load(name, device="auto")
        classes = model.codec.classes
        labels = torch.arange(len(classes)).repeat_interleave(8) if classes else None
        guided = classes and model.config.condition_drop not in (0, 1)
        if model.config.condition_drop == 1:
            labels = None
        how = suited(Sampling(guidance=2.0 if guided else 1.0), model)
        print(f"sampling {name} ...", file=sys.stderr)
        images, nfe = model.draw(8 * (len(classes) or 4), labels, how)
        file = f"{name.replace('/', '-')}.png"
        write_images(images, None, out / file, classes)
        rows = _rows(how, classes) if labels is not None else "."
        figures.append((name, file, f"{how.solver.title()}, {nfe} network calls{rows}"))
    return figures


def _rows(how: Sampling, classes: tuple[str, ...]) -> str:
    guidance = f", guidance {how.guidance:g}" if how.guidance != 1 else ""
    return f"{guidance}. Rows: {', '.join(classes)}."


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


def _sampling(flags: SampleFlags | EvaluateFlags) -> Sampling:
    return Sampling(
        steps=flags.steps,
        solver=flags.solver,
        guidance=flags.guidance,
        grid=flags.grid,
        end=flags.end,
    )


def _labels(model: ImageModel, label: str | None, n: int) -> Int[Tensor, " n"] | None:
    """Return labels that repeat the asked classes in turn."""
    if label is None:
        return None
    classes = model.codec.classes
    asked = classes if label == "all" and classes else label.split(",")
    chosen = torch.tensor([model.codec.label(name.strip()) for name in asked])
    return chosen[torch.arange(n) % len(chosen)]
