"""What `feller demo` shows: pictures, films, texts that come about, and pages, each as HTML.

An exhibit is a model with its parts. Each part writes its own HTML and refers to files beside the
page by their names, so that the page needs nothing from elsewhere. A part with steps shows its last
one without a script; the page's script adds the slider.
"""

import html
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import quote

__all__ = ["Exhibit", "Film", "Page", "Part", "Picture", "Token", "Writing", "revealed", "thinned"]

Token = tuple[str, float]
"""The text of a token, and when it came in [0, 1]: below 0 where it was given."""
MOST_STEPS = 40
"""Steps that a film or a text shows."""

_STEPS = """<p class="steps" hidden><button type="button">Play</button>
<input type="range" min="0" max="{last}" value="{last}" aria-label="step of {title}">
<output>{count} / {count}</output></p>"""


class Part(ABC):
    """Something to look at."""

    @abstractmethod
    def markup(self, title: str) -> str:
        """Return its HTML; `title` says what it is of."""


@dataclass(frozen=True, kw_only=True)
class Picture(Part):
    """A picture.

    Attributes:
        file: Its name, beside the page.
    """

    file: str

    def markup(self, title: str) -> str:
        """Return an image."""
        return f'<img src="{quote(self.file)}" alt="{html.escape(title)}" loading="lazy">'


@dataclass(frozen=True, kw_only=True)
class Film(Part):
    """Pictures of one size, one below the other in one file.

    Attributes:
        file: Its name, beside the page.
        width: Pixels of a picture.
        height: Pixels of a picture.
        count: How many pictures, at least 2.
        columns: Titles of its columns; none if empty.

    Example:
        >>> film = Film(file="a.png", width=30, height=20, count=5)
        >>> "aspect-ratio:30/20" in film.markup("flow")
        True
    """

    file: str
    width: int
    height: int
    count: int
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Reject a film that does not move."""
        if self.count < 2:
            raise ValueError(f"a film has at least 2 pictures, not {self.count}")

    def markup(self, title: str) -> str:
        """Return its last picture, and what steps through it."""
        names = "".join(f"<span>{html.escape(name)}</span>" for name in self.columns)
        head = f'<div class="names" aria-hidden="true">{names}</div>' if names else ""
        style = f"--count:{self.count};aspect-ratio:{self.width}/{self.height};"
        style += f"background-image:url('{quote(self.file)}')"
        said = html.escape(title)
        steps = _STEPS.format(last=self.count - 1, count=self.count, title=said)
        shown = f'<div class="strip" role="img" aria-label="{said}" style="{style}"></div>'
        return f'<div class="film">{head}{shown}{steps}</div>'


@dataclass(frozen=True, kw_only=True)
class Writing(Part):
    """A text at each step of sampling, with the same number of tokens at each.

    Attributes:
        steps: The tokens at each step, at least one of them.
        hidden: How a token not yet revealed is shown.

    Example:
        >>> text = Writing(steps=((("_", 0.0), ("b", -1.0)), (("a", 0.5), ("b", -1.0))), hidden="_")
        >>> text.changes()
        [[[0, 'a', 0.5]]]
    """

    steps: tuple[tuple[Token, ...], ...]
    hidden: str

    def __post_init__(self) -> None:
        """Check that all steps have one length."""
        if len({len(step) for step in self.steps}) != 1:
            raise ValueError("a text has as many tokens at each step, and at least one step")

    def changes(self) -> list[list[list[int | str | float]]]:
        """Return what is another at each step than at the one before: where, the text, and when."""
        return [
            [[i, *new] for i, (old, new) in enumerate(zip(a, b, strict=True)) if old != new]
            for a, b in pairwise(self.steps)
        ]

    def markup(self, title: str) -> str:
        """Return the last text, and what steps through it."""
        last = html.escape("".join(text for text, _ in self.steps[-1]))
        held = {"first": self.steps[0], "changes": self.changes(), "hidden": self.hidden}
        data = json.dumps(held, separators=(",", ":")).replace("<", "\\u003c")
        steps = _STEPS.format(
            last=len(self.steps) - 1, count=len(self.steps), title=html.escape(title)
        )
        script = f'<script type="application/json">{data}</script>'
        return f'<div class="writing"><pre>{last}</pre>{steps}{script}</div>'


@dataclass(frozen=True, kw_only=True)
class Page(Part):
    """A page of its own, shown in a frame and linked.

    Attributes:
        file: Its name, beside this page.
        name: The text of the link.
    """

    file: str
    name: str

    def markup(self, title: str) -> str:
        """Return a frame and a link."""
        file, said = quote(self.file), html.escape(title)
        frame = f'<iframe src="{file}" title="{said}" loading="lazy"></iframe>'
        return f'{frame}\n<p><a href="{file}">{html.escape(self.name)}</a></p>'


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A model in the demo.

    Attributes:
        title: Its title, such as the model's name.
        parts: Its contents.
        caption: Text below it.
    """

    title: str
    parts: tuple[Part, ...]
    caption: str

    def markup(self) -> str:
        """Return it as a figure."""
        parts = "\n".join(part.markup(self.title) for part in self.parts)
        head, foot = html.escape(self.title), html.escape(self.caption)
        return f"<figure>\n<h2>{head}</h2>\n{parts}\n<figcaption>{foot}</figcaption>\n</figure>"


def revealed(tokens: tuple[Token, ...], hidden: str) -> str:
    """Return a text on its way as HTML: a class and `--when` say of a token whether it came, when.

    Example:
        >>> print(revealed((("a", 0.5), ("b", -1.0), ("_", 0.0)), "_"))  # doctest: +ELLIPSIS
        <pre><span class="came" style="--when:0.5">a</span><span class="given" ...>_</span></pre>
    """

    def kind(text: str, when: float) -> str:
        return "hidden" if text == hidden else "given" if when < 0 else "came"

    spans = (
        f'<span class="{kind(text, when)}" style="--when:{when:g}">{html.escape(text)}</span>'
        for text, when in tokens
    )
    return f"<pre>{''.join(spans)}</pre>"


def thinned(count: int, most: int = MOST_STEPS) -> list[int]:
    """Return which of so many steps to show, evenly, with the first and the last: at most so many.

    Example:
        >>> thinned(9, 3), thinned(2, 3)
        ([0, 4, 8], [0, 1])
    """
    last = count - 1
    if last < most:
        return [*range(last + 1)]
    return [round(i * last / (most - 1)) for i in range(most)]
