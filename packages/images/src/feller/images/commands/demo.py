"""`feller demo` for images: a grid from every bundled model."""

import sys
from pathlib import Path

import torch

from feller.core.domains import list_models
from feller.core.registry import load
from feller.images.sampling import Sampling, suited
from feller.images.writing import write_images

__all__ = ["demo"]


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
        write_images(images, labels, out / file, classes)
        guidance = f", guidance {how.guidance:g}" if how.guidance != 1 else ""
        figures.append((name, file, f"{how.solver.title()}, {nfe} network calls{guidance}."))
    return figures
