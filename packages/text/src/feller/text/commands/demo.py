"""`feller demo` for text: samples and infillings of every bundled chain."""

import sys
from pathlib import Path

from feller.core.domains import list_models
from feller.core.registry import load
from feller.text.commands.sample import draw_picture
from feller.text.sampling import Sampling, context

__all__ = ["demo"]

_ENDS = {
    "text/shakespeare": ("ROMEO:\n", "\nJULIET:\nI will not.\n"),
    "text/stdlib": ("def mean(numbers):\n", "    return total / count\n"),
    "text/books": ("It was a cold night, and ", " said the old man.\n"),
}


def demo(out: Path) -> list[tuple[str, str, str]]:
    """Draw a text from every bundled chain, and infill one; write pictures of what came when.

    Returns:
        A title, a file name and a caption for each.
    """
    figures = []
    for name in list_models("text/*"):
        model = load(name, device="auto")
        if not model.is_chain:
            continue
        print(f"sampling {name} ...", file=sys.stderr)
        prompt, suffix = _ends(name)
        for kind, given in (
            ("sample", context(model.codec)),
            ("infilling", context(model.codec, prompt, suffix)),
        ):
            drawn = model.draw(1, given, Sampling())
            file = f"{name.replace('/', '-')}-{kind}.png"
            draw_picture(model, given, drawn, out / file, f"{name}: {kind}")
            caption = f"{int(drawn.nfe.max())} network calls. Colour: at which kappa a token came"
            white = "; what is white was given." if kind == "infilling" else "."
            figures.append((f"{name}: {kind}", file, caption + white))
    return figures


def _ends(name: str) -> tuple[str, str]:
    """Return a beginning and an end that suit what a model writes; nothing if that is unknown."""
    return next((ends for start, ends in _ENDS.items() if name.startswith(start)), ("", ""))
