"""The formulas of the site: from docstrings to dollars, and from dollars to MathML.

Docstrings hold roles of Sphinx, which read well in a terminal; a page holds dollars.
"""

import html
import re

__all__ = ["dollars", "mathml", "on_page"]

INLINE = re.compile(r":math:`([^`]+)`")
BLOCK = re.compile(r"^( *)\.\. math::[ \n]\s*(.+?)(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^( *)Example:(?=\n\s+>>>)", re.MULTILINE)
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def dollars(text: str) -> str:
    """Return a docstring with `$...$` and `$$...$$` where it has roles of Sphinx."""
    text = INLINE.sub(lambda found: f"${_line(found[1])}$", text)
    return BLOCK.sub(lambda found: f"{found[1]}$${_line(found[2])}$$", text)


def on_page(docstring: str) -> str:
    """Return a docstring as a page wants it: with dollars, and sessions of Python as code."""
    return EXAMPLE.sub(r"\1Examples:", dollars(docstring))


def mathml(text: str) -> str:
    """Return a page with its formulas as MathML, which needs neither scripts nor fonts."""
    return FORMULA.sub(_mathml, text)


def _line(formula: str) -> str:
    return " ".join(formula.split())


def _mathml(found: re.Match[str]) -> str:
    from latex2mathml.converter import convert  # of the group `docs`; tests do without

    display = "block" if found[2] == "[" else "inline"
    return convert(html.unescape(found[3]).strip(), display=display)
