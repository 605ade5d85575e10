"""Write the tables of the README: bundled models from their cards, peers from `docs/comparison.md`.

uv run python tools/readme_models.py
"""

import re
from pathlib import Path

from feller.core.cards import ModelCard
from feller.core.domains import list_models
from feller.core.registry import read_card

README = Path(__file__).parents[1] / "README.md"
MARKS = "<!-- {}: tools/readme_models.py -->\n", "<!-- end of {} -->"


def table() -> str:
    """Return a row for each bundled model: what it draws, a sample, two figures, what it cost."""
    rows = [row(read_card(name)) for name in list_models()]
    head = ["model", "draws", "a sample", "figures (95% interval)", "weights", "hours of training"]
    return f"| {' | '.join(head)} |\n{'|---' * len(head)}|\n{''.join(rows)}"


def row(card: ModelCard) -> str:
    """Return the row of a model."""
    figures = "; ".join(f"{metric.name} {metric}" for metric in card.metrics[:2])
    size, hours = f"{card.parameters / 1e6:.2f}M", f"{card.training['seconds'] / 3600:.1f}"
    picture = sample_of(card.name)
    sample = f"![]({picture})" if picture else ""
    return f"| `{card.name}` | {card.task} | {sample} | {figures} | {size} | {hours} |\n"


def sample_of(name: str) -> str:
    """Return the picture of a model (`tools/draw_samples.py`) from the root; empty without one."""
    picture = f"docs/samples/{name.replace('/', '-')}.png"
    return picture if (README.parent / picture).exists() else ""


def comparison() -> str:
    """Return the table of the page that compares, without its footnotes."""
    page = (README.parent / "docs" / "comparison.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*\|$", page, re.MULTILINE)
    return "".join(re.sub(r" \[\^\w+\]", "", row) + "\n" for row in rows)


def filled(text: str) -> str:
    """Return the text of the README with the tables in their places."""
    for name, made in (("models", table()), ("comparison", comparison())):
        begin, end = (mark.format(name) for mark in MARKS)
        before, rest = text.split(begin)
        text = f"{before}{begin}{made}{end}{rest.split(end, 1)[1]}"
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
