"""Write the page of every bundled model anew from its card, and its task in the words of the hub.

uv run python tools/card_pages.py
"""

from dataclasses import replace
from pathlib import Path

from feller.core.cards import ModelCard

ROOT = Path(__file__).parents[1]
TASKS = {"images": "unconditional-image-generation", "text": "text-generation"}


def main() -> None:
    """Write the pages."""
    for file in sorted(ROOT.glob("packages/*/src/feller/*/weights/**/card.json")):
        domain = file.relative_to(ROOT).parts[1]
        task = "image-classification" if "classifiers" in file.parts else TASKS.get(domain, "other")
        replace(ModelCard.read(file.parent), hub_task=task).write(file.parent)


if __name__ == "__main__":
    main()
