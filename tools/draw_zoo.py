"""Draw the picture of the README: a sample of every domain, by the bundled models.

    uv run python tools/draw_zoo.py docs/zoo.png

The page is white, so that it is read on a dark one, too.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from PIL import Image
from scipy.interpolate import CubicSpline

from feller.core import load
from feller.images import ImageModel
from feller.proteins import Chain, ProteinModel
from feller.text import Sampling, TextModel, context
from feller.text.plots import cells

ROWS, COLUMNS, LINE = 14, 5, 40
SEED = 4


def main(target: Path) -> None:
    """Write the picture."""
    figure = Figure((12, 4.1), facecolor="white", layout="constrained")
    images, text, proteins = figure.subplots(1, 3, width_ratios=(1, 1.15, 1.35))
    draw_images(images)
    draw_text(text)
    draw_proteins(proteins)
    for panel in (images, text, proteins):
        panel.set_axis_off()
        panel.set_anchor("N")
    figure.savefig(target, dpi=100)
    Image.open(target).convert("RGB").quantize(128).save(target, optimize=True)


def draw_images(panel: Axes) -> None:
    """Draw a row of images for each of six classes."""
    model = load("images/fashion-flow", ImageModel)
    labels = [label for label in ("dress", "coat", "sandal", "trouser", "bag") for _ in range(5)]
    drawn = model.sample(len(labels), label=labels, guidance=2.0, seed=0).squeeze(-1)
    page = drawn.reshape(5, COLUMNS, 28, 28).transpose(1, 2).reshape(5 * 28, COLUMNS * 28)
    panel.imshow(255 - page, cmap="gray", vmin=0, vmax=255)
    panel.set_title("images/fashion-flow: a flow")


def draw_text(panel: Axes) -> None:
    """Draw a text whose colours tell when each subword came."""
    model = load("text/books-mask", TextModel)
    given = context(model.codec, "The old man looked at", length=128)
    chains = model.draw(1, given, Sampling(solver="events", steps=128, temperature=0.8), seed=SEED)
    came = chains.call[0].double() / chains.nfe.max()
    colours = mpl.colormaps["viridis"]
    for row, line in enumerate(cells(model.codec, chains.x[0], came, columns=LINE)[:ROWS]):
        for column, (character, level) in enumerate(line):
            colour = colours(0.8 * level) if level else "black"
            panel.text(column, -row, character, family="monospace", size=10.5, color=colour)
    panel.set(xlim=(0, LINE), ylim=(-ROWS, 1))
    panel.set_title("text/books-mask: jumps; dark came first")


def draw_proteins(panel: Axes) -> None:
    """Draw the backbones of four chains, from blue at their beginning to red at their end."""
    model = load("proteins/short-codesign", ProteinModel)
    for i, chain in enumerate(model.sample(4, length=80, seed=1)):
        draw_chain(panel, chain, (47.0 * (i % 2), -34.0 * (i // 2)), mpl.colormaps["turbo"])
    panel.set_aspect("equal")
    panel.autoscale_view()
    panel.set_title("proteins/short-codesign: flow and jumps")


def draw_chain(panel: Axes, chain: Chain, middle: tuple[float, float], colours: Colormap) -> None:
    """Draw the CA of a chain as a smooth line, what is near over what is far."""
    ca = chain.atoms[:, 1].astype(float)
    ca = (ca - ca.mean(0)) @ np.linalg.svd(ca - ca.mean(0))[2].T
    along = np.linspace(0, len(ca) - 1, 12 * len(ca))
    points = CubicSpline(np.arange(len(ca)), ca)(along)
    pieces = np.stack([points[:-2], points[2:]], 1)
    order = pieces[:, :, 2].mean(1).argsort()
    shown = pieces[order][:, :, :2] + middle
    for width, colour in ((4.4, "white"), (3.0, None)):
        shade = colour or colours(0.05 + 0.9 * order / len(order))
        panel.add_collection(LineCollection(list(shown), linewidths=width, colors=shade))


if __name__ == "__main__":
    torch.manual_seed(0)
    main(Path(sys.argv[1]))
