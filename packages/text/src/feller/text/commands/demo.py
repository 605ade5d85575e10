"""`feller demo` for text: samples and infillings of every bundled chain, step by step."""

import sys
from pathlib import Path
from typing import Any

from feller.core.discrete.solvers import TokenState
from feller.core.domains import list_models
from feller.core.exhibits import Exhibit, Token, Writing, thinned
from feller.core.registry import load
from feller.text.codec import HIDDEN, TextCodec
from feller.text.plots import GIVEN, pieces
from feller.text.sampling import Context, Sampling, context, follow_texts

__all__ = ["demo", "ends_of", "tokens_of"]

_ENDS = {
    "text/shakespeare": ("ROMEO:\n", "\nJULIET:\nI will not.\n"),
    "text/stdlib": ("def mean(numbers):\n", "    return total / count\n"),
    "text/books": ("It was a cold night, and ", " said the old man.\n"),
}


def demo(out: Path) -> list[Exhibit]:
    """Draw a text from every bundled chain, and infill one; nothing is written beside the page."""
    exhibits = []
    for name in list_models("text/*"):
        model = load(name, device="auto")
        if not model.is_chain:
            continue
        print(f"sampling {name} ...", file=sys.stderr)
        for kind, ends in (("sample", ("", "")), ("infilling", ends_of(name))):
            exhibits.append(_shown(model, f"{name}: {kind}", context(model.codec, *ends)))
    return exhibits


def _shown(model: Any, title: str, given: Context) -> Exhibit:
    """Draw a text, and keep the way."""
    states = [*follow_texts(model, given, range(1), Sampling())]
    steps = tuple(tokens_of(model.codec, given, states[i]) for i in thinned(len(states)))
    white = "" if given.free.all() else "; what is bold was given"
    calls = f"{int(states[-1].nfe.max())} network calls"
    return Exhibit(
        title=title,
        parts=(Writing(steps=steps, hidden=HIDDEN),),
        caption=f"{calls}. Colour: when a token came, from violet to yellow{white}.",
    )


def ends_of(name: str) -> tuple[str, str]:
    """Return a beginning and an end that suit what a model writes; nothing if that is unknown."""
    return next((ends for start, ends in _ENDS.items() if name.startswith(start)), ("", ""))


def tokens_of(codec: TextCodec, given: Context, state: TokenState) -> tuple[Token, ...]:
    """Return the text of each token of the first text of a state, and when it came."""
    level = state.level[0].cpu().masked_fill(~given.free, GIVEN).tolist()
    texts = [text.replace("\f", "\n\n") for text in pieces(codec, state.x[0].cpu())]
    return tuple((text, round(when, 2)) for text, when in zip(texts, level, strict=True))
