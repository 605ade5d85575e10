"""`feller demo` for images: how samples of every bundled model form, as a film."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from feller.core.domains import list_models
from feller.core.exhibits import Exhibit, Film, thinned
from feller.core.registry import load
from feller.images.plots import MOST_COLUMNS, save_strip
from feller.images.sampling import Sampling, suited
from feller.images.trajectories import trajectory

__all__ = ["demo"]

ROWS, PLAIN = 4, 32
"""Images of each class, and of a model without classes."""


def demo(out: Path) -> list[Exhibit]:
    """Draw a film from every bundled image model into a folder."""
    return [_shown(name, out) for name in list_models("images/*")]


def _shown(name: str, out: Path) -> Exhibit:
    """Draw from a model, and keep the way."""
    model = load(name, device="auto")
    print(f"sampling {name} ...", file=sys.stderr)
    labels, drop = _labels(model), model.config.condition_drop
    guided = labels is not None and drop not in (0, 1)
    how = suited(Sampling(guidance=2.0 if guided else 1.0), model)
    found = trajectory(model, PLAIN if labels is None else len(labels), labels, how)
    film = found.film()
    film = film[thinned(len(film))]
    file = f"{name.replace('/', '-')}.png"
    width, height = save_strip(film, labels, out / file)
    many = labels is None or len(model.codec.classes) > MOST_COLUMNS
    part = Film(
        file=file,
        width=width,
        height=height,
        count=len(film),
        columns=() if many else model.codec.classes,
    )
    guidance = f", guidance {how.guidance:g}" if how.guidance != 1 else ""
    caption = f"{how.solver.title().replace('_', ' ')}, {found.nfe} network calls{guidance}."
    return Exhibit(title=name, parts=(part,), caption=caption)


def _labels(model: Any) -> Tensor | None:
    """Return each class some times; None of a model without classes, or trained without them."""
    if not model.codec.classes or model.config.condition_drop == 1:
        return None
    return torch.arange(len(model.codec.classes)).repeat_interleave(ROWS)
