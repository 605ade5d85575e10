"""`feller app` for images: a grid that comes about, by label, guidance, steps and weights."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from feller.core.generators import Generator
from feller.core.registry import load
from feller.core.watching import Choice, Control, Frame, Slider, Watched
from feller.images.drawing import Request, follow_images
from feller.images.plots import MOST_COLUMNS, sheet_png
from feller.images.sampling import Sampling, suited

__all__ = ["watched"]

EACH, ANY = "each class", "any"
PLAIN, ROWS = 16, 2
"""Images without a class, and of each."""
MOST_STEPS, MOST_GUIDANCE = 200, 5.0


def watched(name: str) -> Watched:
    """Open a model of images for `feller app`."""
    model = load(name, device="auto")
    return Watched(controls=_controls(model), frames=lambda settings: frames(model, settings))


def _controls(model: Any) -> tuple[Control, ...]:
    """Return what a model can be set to: only what it was trained for."""
    usual, drop = suited(Sampling(), model), model.config.condition_drop
    classes = () if drop == 1 else model.codec.classes
    found: list[Control] = []
    if classes:
        each = (EACH,) if len(classes) <= MOST_COLUMNS else ()
        choices = (*each, *(() if drop == 0 else (ANY,)), *classes)
        found.append(Choice(name="label", label="Class", choices=choices))
    if classes and drop != 0:
        found.append(
            Slider(name="guidance", label="Guidance", value=1, low=0, high=MOST_GUIDANCE, step=0.1)
        )
    parts = model.part_kinds()
    if len(parts) == 2:  # a weight between two
        label = f"Weight of the {_named(parts[1])}, the rest to the {_named(parts[0])}"
        found.append(Slider(name="mix", label=label, value=0.5, low=0, high=1, step=0.05))
    steps = usual.steps or 1  # `suited` leaves none open
    return (
        *found,
        Slider(name="steps", label="Steps", value=steps, low=1, high=MOST_STEPS),
        Slider(name="seed", label="Seed", value=0, low=0, high=999),
    )


def _named(kinds: frozenset[type[Generator]]) -> str:
    return " and ".join(sorted(kind.__name__.lower() for kind in kinds))


def frames(model: Any, settings: Mapping[str, Any]) -> Iterator[Frame]:
    """Yield a grid of images before the first step and after each.

    Args:
        model: An `ImageModel`.
        settings: `steps` and `seed`, and where the model has them `label`, `guidance` and `mix`.
    """
    labels = _labels(model, settings.get("label", ANY))
    guidance = 1.0 if labels is None else float(settings.get("guidance", 1))
    mix = settings.get("mix")
    how = Sampling(
        steps=settings["steps"], guidance=guidance, mix=() if mix is None else (1 - mix, mix)
    )
    request = Request(
        n=PLAIN if labels is None else len(labels), labels=labels, seed=settings["seed"]
    )
    solver = suited(how, model).solver.replace("_", " ")
    several = labels if labels is not None and len(labels.unique()) > 1 else None
    for step, (images, calls) in enumerate(follow_images(model, request, how)):
        picture = base64.b64encode(sheet_png(images, several, model.codec.classes)).decode()
        markup = f'<img src="data:image/png;base64,{picture}" alt="{request.n} images">'
        yield Frame(
            markup=markup, caption=f"step {step} of {how.steps}, {calls} network calls, {solver}"
        )


def _labels(model: Any, choice: str) -> Tensor | None:
    """Return the label of each image; None for any."""
    if choice == EACH:
        return torch.arange(len(model.codec.classes)).repeat_interleave(ROWS)
    return None if choice == ANY else model.labels(PLAIN, choice)
