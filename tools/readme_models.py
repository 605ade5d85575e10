"""Write the table of bundled models into the README, from their cards.

uv run python tools/readme_models.py
"""

import sys
from pathlib import Path

from feller.core.cards import ModelCard
from feller.core.domains import list_models
from feller.core.registry import read_card

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- models: tools/readme_models.py -->\n", "<!-- end of models -->"


def table() -> str:
    """Return a row for each bundled model: what it draws, its first two figures, what it cost."""
    rows = [row(read_card(name)) for name in list_models()]
    head = ["model", "weights", "draws", "figures (95% interval)", "hours of training"]
    return f"| {' | '.join(head)} |\n{'|---' * len(head)}|\n{''.join(rows)}"


def row(card: ModelCard) -> str:
    """Return the row of a model."""
    figures = "; ".join(f"{metric.name} {metric}" for metric in card.metrics[:2])
    size, hours = f"{card.parameters / 1e6:.2f}M", f"{card.training['seconds'] / 3600:.1f}"
    return f"| `{card.name}` | {size} | {card.task} | {figures} | {hours} |\n"


def filled(text: str) -> str:
    """Return the text of the README with the table in its place."""
    before, rest = text.split(BEGIN)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(table())
