"""A backbone as a line, drawn as SVG: quick enough for every step of a sampling.

The line goes through CA, blue at the N terminus to red at the C terminus. What is nearer is thicker
and lies above what is farther.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

__all__ = ["trace"]

SIZE = 320
"""Units across, of a picture."""


def trace(chains: Sequence[Float[np.ndarray, "n 3"]], radius: float) -> str:
    """Return pictures of chains side by side, each with its middle in the middle.

    Args:
        chains: Positions of CA in Angstrom: x to the right, y downwards, z towards us.
        radius: How far from its middle a chain is shown, in Angstrom.

    Example:
        >>> line = np.stack([np.arange(3.0), np.zeros(3), np.zeros(3)], -1)
        >>> trace([line], 10.0).count("<line")
        2
    """
    pictures = "".join(
        f'<svg viewBox="0 0 {SIZE} {SIZE}" role="img" aria-label="a backbone">'
        f"{_lines(ca, radius)}</svg>"
        for ca in chains
    )
    return f'<div class="traces">{pictures}</div>'


def _lines(ca: np.ndarray, radius: float) -> str:
    """Return a line between neighbours, the farthest first."""
    placed = (ca.astype(float) - ca.mean(0)) / radius
    xy = (SIZE / 2 * (1 + placed[:, :2])).round(1)
    depth = (placed[1:, 2] + placed[:-1, 2]) / 2
    hue = 240 - 240 * np.arange(len(depth)) / max(1, len(depth) - 1)
    return "".join(
        f'<line x1="{xy[i, 0]:g}" y1="{xy[i, 1]:g}" x2="{xy[i + 1, 0]:g}" y2="{xy[i + 1, 1]:g}" '
        f'stroke="hsl({hue[i]:.0f} 70% {50 - 10 * depth[i].clip(-1, 1):.0f}%)" '
        f'stroke-width="{(4 + 2.5 * depth[i]).clip(1, 7):.1f}" stroke-linecap="round"/>'
        for i in depth.argsort()
    )
