"""`feller sample` for images: a grid, an archive or a folder."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from jaxtyping import Int
from torch import Tensor

from feller.core.registry import load
from feller.images.models import ImageModel
from feller.images.plots import save_film
from feller.images.sampling import GridName, Sampling, suited
from feller.images.trajectories import trajectory
from feller.images.writing import check_target, write_images

__all__ = ["SampleFlags", "sample", "sampling_of"]


@dataclass(frozen=True)
class SampleFlags:
    """Sample images from a model."""

    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 16
    """Number of images."""
    out: Path = Path("samples.png")
    """Where to write: a .png grid, a .webp film of how it came about, an .npz with `images` and
    `labels`, or a folder of PNGs."""
    label: str | None = None
    """A class by name or number, several with commas between, or `all`; None samples any."""
    guidance: float = 1.0
    """Scale of classifier-free guidance; 1 is none. Needs --label."""
    solver: str = "auto"
    """euler, midpoint, heun, rk4, dopri5, ddim, ddpm, dpm++, ...; auto chooses by the schedule."""
    steps: int = 20
    """Number of solver steps."""
    grid: GridName = "auto"
    """Spacing of the time steps; auto chooses by the schedule and the solver."""
    end: float | None = None
    """Last time, in (0, 1]; None is 1, or 0.999 on the logarithmic grid."""
    jumps: bool = False
    """Show when each pixel jumped last instead: black for never, white for t = 1."""
    seed: int = 0
    """Random seed; image i depends on the seed and on i only (with dopri5, up to its tolerance)."""
    device: str = "auto"
    """cpu, cuda, ...; auto uses an accelerator if there is one."""
    json: bool = False
    """Print a summary as JSON."""


def sample(name: str, argv: Sequence[str]) -> None:
    """Draw images from a model into files.

    Raises:
        ValueError: On an unknown label or solver, or a target that exists.
    """
    flags = tyro.cli(SampleFlags, args=list(argv), prog=f"feller sample {name}")
    if flags.n < 1:
        raise ValueError(f"-n is at least 1, not {flags.n}")
    check_target(flags.out)
    film = flags.out.suffix == ".webp"
    if film and flags.jumps:
        raise ValueError("--jumps is a picture, not a film: --out ends in .png or .npz, or nothing")
    model = load(name, device=flags.device)
    check_target(flags.out, model.codec.shape[0])
    labels = _labels(model, flags.label, flags.n)
    if flags.guidance != 1 and labels is None:
        raise ValueError("--guidance needs --label: without one there is nothing to guide to")
    how = suited(sampling_of(flags), model)
    start = time.perf_counter()
    if film or flags.jumps:
        found = trajectory(model, flags.n, labels, how, seed=flags.seed)
        nfe = found.nfe
        if film:
            save_film(found.film(), labels, flags.out, model.codec.classes)
        else:
            write_images(found.jumps().picture(), labels, flags.out, model.codec.classes)
    else:
        images, nfe = model.draw(flags.n, labels, how, seed=flags.seed)
        write_images(images, labels, flags.out, model.codec.classes)
    seconds = time.perf_counter() - start
    report = {"out": str(flags.out), "n": flags.n, "nfe": nfe, "seconds": round(seconds, 3)}
    if flags.json:
        print(json.dumps(report | {"seed": flags.seed, "solver": how.solver}))
    else:
        print(f"{flags.out}: {flags.n} images, {nfe} network calls each, {seconds:.1f} s")


def sampling_of(flags: Any) -> Sampling:
    """Return the sampling that the flags of `sample` or `evaluate` ask for."""
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
