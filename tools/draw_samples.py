"""Draw a small picture of what each bundled model draws, for the table of the README and the zoo.

    uv run python tools/draw_samples.py            # all that are not there yet
    uv run python tools/draw_samples.py images/fashion-flow

They go to `docs/samples/DOMAIN-NAME.png`: seed 0, images in as many steps as usual,
texts in 64, backbones in 50; none is chosen.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from PIL import Image

from draw_zoo import draw_chain
from feller.core import list_models, load
from feller.images import ImageModel
from feller.proteins import ProteinModel
from feller.text import TextModel

HOME = Path(__file__).parents[1] / "docs" / "samples"
WIDTH, LINES, COLUMNS = 360, 5, 56


def main() -> None:
    """Draw the pictures."""
    HOME.mkdir(exist_ok=True)
    missing = [name for name in list_models() if not target(name).exists()]
    for name in sys.argv[1:] or missing:
        DRAWN[name.split("/", maxsplit=1)[0]](name)
        sys.stdout.write(f"{target(name)}\n")


def target(name: str) -> Path:
    """Return the file of a model's picture."""
    return HOME / f"{name.replace('/', '-')}.png"


def draw_images(name: str) -> None:
    """Draw one image of each class in a row."""
    model = load(name, ImageModel)
    classes = list(model.codec.classes)
    drawn = model.sample(len(classes), label=classes, guidance=2.0, seed=0).squeeze(-1)
    row = 255 - drawn.permute(1, 0, 2).reshape(drawn.shape[1], -1).numpy()
    Image.fromarray(row).resize((WIDTH, WIDTH // len(classes)), Image.Resampling.LANCZOS).save(
        target(name), optimize=True
    )


def draw_text(name: str) -> None:
    """Draw the beginning of a text."""
    text = load(name, TextModel).sample(1, length=192, steps=64, seed=0)[0]
    lines = [
        line[i : i + COLUMNS] for line in text.splitlines() for i in range(0, len(line), COLUMNS)
    ]
    figure = Figure((WIDTH / 100, 0.15 * LINES), facecolor="white")
    shown = "\n".join(lines[:LINES]).replace("$", r"\$")
    figure.text(0.01, 0.98, shown, family="monospace", size=7.2, va="top")
    _save(figure, name)


def draw_proteins(name: str) -> None:
    """Draw three backbones, from blue at their beginning to red at their end."""
    figure = Figure((WIDTH / 100, 0.9), facecolor="white")
    panel = figure.add_axes((0, 0, 1, 1))
    for i, chain in enumerate(load(name, ProteinModel).sample(3, length=64, steps=50, seed=0)):
        draw_chain(panel, chain, (48.0 * i, 0.0), mpl.colormaps["turbo"])
    panel.set_aspect("equal")
    panel.set_axis_off()
    panel.autoscale_view()
    _save(figure, name)


def _save(figure: Figure, name: str) -> None:
    figure.savefig(target(name), dpi=100)
    Image.open(target(name)).convert("RGB").quantize(64).save(target(name), optimize=True)


DRAWN = {"images": draw_images, "text": draw_text, "proteins": draw_proteins}

if __name__ == "__main__":
    torch.manual_seed(0)
    main()
