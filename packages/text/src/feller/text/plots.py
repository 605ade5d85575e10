"""Pictures of text: which tokens came when."""

import html
import textwrap
import warnings
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from feller.text.codec import TextCodec

__all__ = ["Texts", "cells", "pieces", "save_reveal"]

GIVEN = -1.0
LIGHT = 0.6
"""The level from which the colour is light."""
BROKEN = "\ufffd"
"""What a tokenizer decodes to where there is no text."""
SHOWN = 4
"""Texts that a notebook shows."""


class Texts(list[str]):
    """Texts, of which a notebook shows the first ones: a colour says when a token came.

    Args:
        codec: That of the model.
        x: Their tokens `(b, n)`.
        level: kappa when each token came last; negative for one that was given.

    Example:
        >>> import torch
        >>> codec = TextCodec()
        >>> x, level = codec.tokens("a<")[None], torch.tensor([[0.1, -1.0]])
        >>> texts = Texts(codec, x, level)
        >>> texts, "white'>a</span>&lt;" in texts._repr_html_()
        (['a<'], True)
    """

    def __init__(
        self, codec: TextCodec, x: Int[Tensor, "b n"], level: Float[Tensor, "b n"]
    ) -> None:
        super().__init__(codec.decode(x))
        self._drawn = codec, x[:SHOWN].cpu(), level[:SHOWN].cpu()

    def _repr_html_(self) -> str:
        """Return the first texts in colours, from dark for what came first to light."""
        codec, x, level = self._drawn
        rows = [cells(codec, *text) for text in zip(x, level, strict=True)]
        texts = ["\n".join("".join(_span(*cell) for cell in row) for row in text) for text in rows]
        more = f"<p>{len(self) - len(x)} more</p>" if len(self) > len(x) else ""
        return "<hr>".join(f"<pre>{text}</pre>" for text in texts) + more


def cells(
    codec: TextCodec, x: Int[Tensor, " n"], level: Float[Tensor, " n"], *, columns: int = 64
) -> list[list[tuple[str, float]]]:
    r"""Return the characters of a text in rows, each with the level of its token.

    Lines are broken where the text breaks them, and at the last column.

    Args:
        codec: That of the model.
        x: Tokens.
        level: A number for each token.
        columns: The longest row.

    Example:
        >>> import torch
        >>> codec = TextCodec()
        >>> cells(codec, codec.tokens("a\nb"), torch.tensor([0.1, 0.2, 0.3]).double())
        [[('a', 0.1)], [('b', 0.3)]]
    """
    rows: list[list[tuple[str, float]]] = [[]]
    for piece, number in zip(pieces(codec, x), level.tolist(), strict=True):
        for character in piece:
            if character in "\n\f":
                rows.append([])
                continue
            if len(rows[-1]) == columns:
                rows.append([])
            rows[-1].append((character if character.isprintable() else " ", round(number, 6)))
    return rows


def pieces(codec: TextCodec, x: Int[Tensor, " n"]) -> list[str]:
    """Return the text of each token; of a character that is several tokens, at the first of them.

    What is not text, such as part of a character, is a middle dot.

    Example:
        >>> codec = TextCodec()
        >>> pieces(codec, codec.tokens("aé"))
        ['a', 'é', '']
    """
    found = codec.decode(x[:, None])
    for broken, run in groupby(range(len(found)), lambda i: BROKEN in found[i]):
        if broken:
            first, *others = run
            whole = codec.decode(x[None, first : first + 1 + len(others)])[0]
            found[first : first + 1 + len(others)] = [whole, *[""] * len(others)]
    return [text.replace(BROKEN, "\u00b7") for text in found]


def _span(character: str, number: float) -> str:
    """Return a character in the colour of its level, and as it is where it was given."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if number < 0:
        return html.escape(character)
    ink = "white" if number < LIGHT else "black"
    colour = to_hex(colormaps["viridis"](number))
    return f"<span style='background:{colour};color:{ink}'>{html.escape(character)}</span>"


def save_reveal(
    codec: TextCodec,
    x: Int[Tensor, " n"],
    level: Float[Tensor, " n"],
    file: Path,
    *,
    title: str = "",
) -> None:
    """Write a picture of a text in which a token's colour says at which kappa it came.

    Args:
        codec: That of the model.
        x: Tokens.
        level: kappa when each token came last; negative for one that was given, which stays white.
        file: A `.png`, or any other file matplotlib writes.
        title: What stands above.
    """
    from matplotlib.figure import Figure

    rows = cells(codec, x, level)
    width = max(1, max(map(len, rows)))
    colours = np.full((len(rows), width), np.nan)
    for i, row in enumerate(rows):
        colours[i, : len(row)] = [np.nan if number < 0 else number for _, number in row]
    figure = Figure(figsize=(0.13 * width + 1.2, 0.24 * len(rows) + 0.9), dpi=120)
    axes = figure.add_subplot()
    image = axes.imshow(colours, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    figure.colorbar(image, ax=axes, label="kappa when it came", fraction=0.03, pad=0.02)
    for i, row in enumerate(rows):
        _write(axes, i, row)
    axes.set_axis_off()
    axes.set_title("\n".join(textwrap.wrap(title, 80)), fontsize=9, loc="left")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph ")  # a box stands for what the font lacks
        figure.savefig(file, bbox_inches="tight")


def _write(axes: object, i: int, row: Sequence[tuple[str, float]]) -> None:
    """Write the characters of a row: light on dark colours, dark on light ones and on white."""
    for j, (character, number) in enumerate(row):
        ink = "white" if 0 <= number < LIGHT else "black"
        # A dollar sign alone would begin a formula.
        axes.text(  # pyright: ignore[reportAttributeAccessIssue]
            j,
            i,
            character.replace("$", r"\$"),
            color=ink,
            size=8,
            ha="center",
            va="center",
            family="monospace",
        )
