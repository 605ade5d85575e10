"""`feller verify` for images: how well a trained model's generator solves the forward equation.

States x_t are made from real images. Test functions are smooth statistics of an image: brightness,
contrast, roughness, and sines and hyperbolic tangents of its overlap with smooth random patterns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
import tyro
from torch import Tensor

from feller.core.flags import parse_flags
from feller.core.registry import load
from feller.core.verify import Reference, Statistics, verify
from feller.core.verify.report import ModelFlags, report_model
from feller.images.commands.evaluate import usual_data
from feller.images.data import ImageData
from feller.images.models import ImageModel

__all__ = ["VerifyFlags", "reference", "statistics", "verify_model"]


@dataclass(frozen=True)
class VerifyFlags:
    """Check a model against the Kolmogorov forward equation, at states made from images."""

    data: ImageData = field(default_factory=ImageData)
    """The images (default: the data set that the model's card names)."""
    labels: bool = False
    """Condition the model on the label of each image."""
    check: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)
    """What is compared, and how large an error passes."""


def verify_model(name: str, argv: Sequence[str]) -> int:
    """Print the errors of a model; return 0 when they are below the threshold, else 1.

    Raises:
        ValueError: When the data are not named, missing or corrupt, or the model takes no labels.
    """
    flags = parse_flags(
        VerifyFlags,
        argv,
        default=VerifyFlags(data=usual_data(name, argv)),
        prog=f"feller verify {name}",
    )
    model = load(name, device=flags.check.device)
    images = reference(model, flags)
    plan = replace(
        flags.check.plan(128), functions=statistics(images.points, levels=model.codec.levels)
    )
    found = verify(model, images, plan=plan)
    return report_model(found, flags.check.threshold, flags.check.output)


def reference(model: ImageModel, flags: VerifyFlags) -> Reference:
    """Return up to 10,000 images as states, with their labels where these are asked for.

    Raises:
        ValueError: When labels are asked for and the model takes none.
    """
    if flags.labels and not (model.codec.classes or model.codec.numbers):
        raise ValueError("--labels: the model takes none")
    data = flags.data.build(flags.check.split)
    chosen = torch.randperm(
        len(data), generator=torch.Generator().manual_seed(flags.check.seed or 0)
    )
    device = next(model.parameters()).device
    images, labels, *names = data[chosen[:10_000].tolist()]
    z, condition = model.codec.encode((images, labels if flags.labels else None, *names))
    return Reference(z.to(device), conditions=None if condition is None else condition.to(device))


def statistics(z: Tensor, *, levels: int = 0, patterns: int = 3) -> Statistics:
    """Return test functions of images.

    Args:
        z: Images `(b, c, h, w)`, for their shape.
        levels: Of images that are tokens, how many grey levels they have; what is after them, a
            mask, counts as gray.
        patterns: Smooth random patterns, of which each gives two functions.
    """
    smooth = _smooth(z if z.is_floating_point() else z.float(), patterns)
    waves = [f"{wave} {i}" for wave in ("sin", "tanh") for i in range(1, patterns + 1)]

    def values(x: Tensor) -> Tensor:
        x = torch.where(x >= levels, 0.0, 2 * x / (levels - 1) - 1) if levels else x
        plain = [
            x.flatten(1).mean(1),
            x.flatten(1).square().mean(1),
            x.diff(dim=-1).flatten(1).square().mean(1),
        ]
        overlap = 4 * torch.einsum("bchw,kchw->bk", x, smooth) / x[0].numel()
        return torch.cat([torch.stack(plain, 1), overlap.sin(), overlap.tanh()], 1)

    return Statistics(("brightness", "contrast", "roughness", *waves), values)


def _smooth(z: Tensor, count: int, waves: int = 4) -> Tensor:
    """Return patterns `(count, c, h, w)` made of a few cosines in each direction, of size one."""
    rng = torch.Generator().manual_seed(0)
    c, h, w = z.shape[1:]
    rows, columns = (_cosines(waves, n) for n in (h, w))
    mix = torch.randn(count, c, waves, waves, generator=rng)
    return (torch.einsum("kcij,ih,jw->kchw", mix, rows, columns) / waves).to(z)


def _cosines(waves: int, n: int) -> Tensor:
    positions = (torch.arange(n) + 0.5) / n
    return torch.cos(math.pi * torch.arange(waves)[:, None] * positions)
