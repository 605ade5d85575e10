"""`feller sample` for images: a grid, an archive or a folder."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from torch import Tensor

from feller.core.flags import parse_flags
from feller.core.generators import FromPosterior, Jump
from feller.core.pair_data import save_pairs
from feller.core.processes import is_first
from feller.core.registry import load
from feller.images.conditions import Given, Seen, read_image, read_mask
from feller.images.drawing import Request, invert, pairs, slerp
from feller.images.models import ImageModel
from feller.images.plots import save_film
from feller.images.sampling import SOLVER_HELP, GridName, Sampling, suited
from feller.images.trajectories import trajectory
from feller.images.writing import check_target, write_images

__all__ = ["DrawFlags", "SampleFlags", "sample"]


@dataclass(frozen=True)
class DrawFlags:
    """How images are sampled."""

    guidance: float = 1.0
    """Guidance scale; 1 is none. Needs a label, or --autoguidance."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """Interval of times in which guidance acts; 0 is noise, 1 is data."""
    guidance_rescale: float = 0.0
    """How far guided velocities are rescaled to the spread of unguided ones, from 0 to 1."""
    autoguidance: str = ""
    """Worse model to guide away from, by name or folder; if empty, the model without label."""
    mix: tuple[float, ...] = ()
    """Weights of the parts of a joint model, such as 0.5 0.5 (default: its own)."""
    mix_end: tuple[float, ...] = ()
    """Weights at t = 1, reached linearly from those of --mix (default: those of --mix)."""
    solver: Annotated[str, tyro.conf.arg(help=SOLVER_HELP)] = "auto"
    steps: int | None = None
    """Number of solver steps; if None 20, or 2 for a model of average velocities (MeanFlow)."""
    grid: GridName = "auto"
    """Spacing of the time steps; auto depends on the schedule and the solver."""
    end: float | None = None
    """Last time, in (0, 1]; if None 1 for flows, and the time when sigma is 0.001 for others."""

    def sampling(self) -> Sampling:
        """Return what they ask for.

        Raises:
            ValueError: When it draws nothing.
        """
        return Sampling(
            steps=self.steps,
            solver=self.solver,
            guidance=self.guidance,
            interval=self.guidance_interval,
            rescale=self.guidance_rescale,
            autoguidance=self.autoguidance,
            mix=self.mix,
            mix_end=self.mix_end,
            grid=self.grid,
            end=self.end,
        )


@dataclass(frozen=True)
class SampleFlags:
    """Sample images from a model."""

    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 16
    """Number of images."""
    out: Path = Path("samples.png")
    """Where to write: a .png grid, a .webp animation of the sampling, an .npz with `images` and
    `labels`, or a folder of PNGs."""
    label: str | None = None
    """Class name or number, several separated by commas, or `all`; any class if None."""
    condition: tuple[float, ...] = ()
    """Numeric conditions, for a model trained with them, such as 0.3 1.2; empty for any."""
    drawing: tyro.conf.OmitArgPrefixes[DrawFlags] = field(default_factory=DrawFlags)
    image: Path | None = None
    """Image with known pixels (with --mask) or a measurement of the images (with --seen)."""
    mask: Path | None = None
    """Mask image: white where pixels are sampled, black where those of --image are kept."""
    seen: Seen = "pixels"
    """What --image shows: pixels (with --mask), or a gray, small or blurred version."""
    blur: float = 1.5
    """Standard deviation of the blur of --image, in pixels, with --seen blur."""
    repeats: int = 1
    """How often to repeat each step with --mask; 5 to 10 blend new and known pixels better."""
    between: tuple[Path, Path] | None = None
    """Two images to interpolate between, in -n steps on the arc between their noises."""
    pairs: bool = False
    """Write -n pairs of noise and image to the folder --out, to train on (reflow)."""
    jumps: bool = False
    """Show the time of each pixel's last jump instead: black for never, white for t = 1."""
    seed: int = 0
    """Random seed; image i depends only on the seed and i (with dopri5, up to its tolerance)."""
    device: str = "auto"
    """cpu, cuda, ...; auto uses an accelerator if there is one."""
    json: bool = False
    """Print a summary as JSON."""


def sample(name: str, argv: Sequence[str]) -> None:
    """Draw images from a model into files.

    Raises:
        ValueError: On an unknown label or solver, or a target that exists.
    """
    flags = parse_flags(SampleFlags, argv, prog=f"feller sample {name}")
    if flags.n < 1:
        raise ValueError(f"-n is at least 1, not {flags.n}")
    check_target(flags.out)
    if flags.out.suffix == ".webp" and flags.jumps:
        raise ValueError("--jumps is a picture, not a film: --out ends in .png or .npz, or nothing")
    model = load(name, device=flags.device)
    check_target(flags.out, model.codec.shape[0])
    labels = _labels(model, flags)
    if flags.jumps and not any(issubclass(kind, Jump | FromPosterior) for kind in model.kinds):
        raise ValueError("--jumps: the model has none")
    drawing = flags.drawing
    if drawing.guidance != 1 and labels is None and not drawing.autoguidance:
        need = "--condition" if model.config.network.condition_size else "--label"
        raise ValueError(f"--guidance needs {need}: without one there is nothing to guide to")
    how = suited(drawing.sampling(), model)
    if flags.pairs and flags.out.suffix:
        raise ValueError(f"--pairs writes a folder: choose an --out without {flags.out.suffix}")
    given, noise = _given(flags, model), _between(flags, model, labels, how)
    start = time.perf_counter()
    if flags.pairs:
        request = Request(n=flags.n, labels=labels, seed=flags.seed, noise=noise, given=given)
        made = pairs(model, request, how)
        if is_first():
            save_pairs(made, flags.out)
        print(f"{flags.out}: {flags.n} pairs, to train on with --data.folder {flags.out}")
        return
    nfe = _draw(flags, model, labels, how, {"given": given, "noise": noise})
    seconds = time.perf_counter() - start
    report = {"out": str(flags.out), "n": flags.n, "nfe": nfe, "seconds": round(seconds, 3)}
    if flags.json:
        print(json.dumps(report | {"seed": flags.seed, "solver": how.solver}))
    else:
        print(f"{flags.out}: {flags.n} images, {nfe} network calls each, {seconds:.1f} s")


def _draw(
    flags: SampleFlags, model: ImageModel, labels: Tensor | None, how: Sampling, more: Any
) -> int:
    """Draw and write images, a film of them, or when their pixels jumped; return the NFE."""
    film, classes = flags.out.suffix == ".webp", model.codec.classes
    shown = labels if classes else None  # what pictures are titled by
    if not film and not flags.jumps:
        images, nfe = model.draw(flags.n, labels, how, seed=flags.seed, **more)
        if is_first():
            write_images(images, shown, flags.out, classes)
        return nfe
    if not is_first():  # it is drawn by one process
        return 0
    found = trajectory(model, flags.n, labels, how, seed=flags.seed, **more)
    if film:
        save_film(found.film(), shown, flags.out, classes)
    else:
        write_images(found.jumps().picture(), shown, flags.out, classes)
    return found.nfe


def _given(flags: SampleFlags, model: ImageModel) -> Given | None:
    """Return what is known of the images."""
    if flags.image is None:
        if flags.mask is not None or flags.seen != "pixels" or flags.repeats != 1:
            raise ValueError("--mask, --seen and --repeats belong to an --image: give one")
        return None
    if flags.between is not None:
        raise ValueError("give --image or --between, not both")
    image = read_image(flags.image, model.codec.shape[0])
    mask = None if flags.mask is None else read_mask(flags.mask)
    return Given(image=image, mask=mask, seen=flags.seen, width=flags.blur, repeats=flags.repeats)


def _between(
    flags: SampleFlags, model: ImageModel, labels: Tensor | None, how: Sampling
) -> Tensor | None:
    """Return noises on the arc between those of two images."""
    if flags.between is None:
        return None
    images = torch.stack([read_image(file, model.codec.shape[0]) for file in flags.between])
    two = None if labels is None else labels[[0, -1]]
    first, last = invert(model, images, two, how)
    return slerp(first, last, torch.linspace(0, 1, flags.n))


def _labels(model: ImageModel, flags: SampleFlags) -> Tensor | None:
    """Return labels that repeat the asked classes in turn, or the numbers that are asked for."""
    label, n, size = flags.label, flags.n, model.config.network.condition_size
    if flags.condition and not size:
        raise ValueError("--condition: the model takes no numbers")
    if size and label is not None:
        names = ", ".join(model.codec.numbers) or f"{size} of them"
        raise ValueError(f"--label: the model takes numbers ({names}): give --condition")
    if flags.condition:
        return model.labels(n, flags.condition)
    if label is None:
        return None
    classes = model.codec.classes
    asked = classes if label == "all" and classes else label.split(",")
    chosen = torch.tensor([model.codec.label(name.strip()) for name in asked])
    return chosen[torch.arange(n) % len(chosen)]
