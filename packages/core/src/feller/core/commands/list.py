"""`feller list`: the models and recipes that are installed."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

from feller.core.cards import Metric
from feller.core.domains import list_models, list_recipes
from feller.core.registry import read_card

__all__ = ["run"]


def run(argv: Sequence[str]) -> None:
    """Print a table of models, then the recipes."""
    parser = argparse.ArgumentParser("feller list", description=__doc__)
    parser.add_argument("pattern", nargs="?", default="*", help="such as 'images/*'")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    cards = [replace(read_card(name), name=name) for name in list_models(options.pattern)]
    recipes = list_recipes(options.pattern)
    if options.json:
        models = [
            {
                "name": card.name,
                "task": card.task,
                "parameters": card.parameters,
                "licence": card.licence,
                "metrics": {m.name: m.value for m in card.metrics},
            }
            for card in cards
        ]
        print(json.dumps({"models": models, "recipes": recipes}, indent=2))
        return
    rows = [("model", "size", "task", "licence", "quality")]
    rows += [
        (card.name, _size(card.parameters), card.task, card.licence, _quality(card.metrics))
        for card in cards
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
    print(f"\nrecipes: {', '.join(recipes) or 'none'}")


def _size(parameters: int) -> str:
    return f"{parameters / 1e6:.2f}M"


def _quality(metrics: Sequence[Metric]) -> str:
    return "; ".join(f"{metric.name} {metric}" for metric in metrics[:2])
