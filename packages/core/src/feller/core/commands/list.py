"""`feller list`: the models and recipes that are installed."""

import argparse
import json
import textwrap
from collections.abc import Sequence
from dataclasses import replace

from feller.core.cards import Metric
from feller.core.domains import list_models, list_recipes, missing_domains
from feller.core.registry import read_card

__all__ = ["run"]


def run(argv: Sequence[str]) -> None:
    """Print a table of models, then the recipes, and which domains are not installed."""
    parser = argparse.ArgumentParser(
        "feller list", description="List the installed models and recipes."
    )
    parser.add_argument(
        "pattern", nargs="?", default="*", help="names to list, such as 'images/*' (default: all)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON, with every metric (default: text)"
    )
    options = parser.parse_args(argv)
    cards = [replace(read_card(name), name=name) for name in list_models(options.pattern)]
    recipes = list_recipes(options.pattern)
    missing = missing_domains()
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
        found = {"models": models, "recipes": recipes, "not_installed": missing}
        print(json.dumps(found, indent=2))
        return
    width = max([len("model"), *(len(card.name) for card in cards)])
    print(f"{'model':{width}}  size   task")
    for card in cards:
        print(_wrapped(f"{card.name:{width}}  {_size(card.parameters)}  {card.task}".rstrip()))
        said = [*map(_quality, card.metrics[:1]), card.licence]
        print(_wrapped("    " + "; ".join(filter(None, said))))
    print("\n" + _wrapped(f"recipes: {', '.join(recipes) or 'none'}"))
    if missing:
        packages = " ".join(f"feller-{name}" for name in missing)
        print(_wrapped(f"not installed: {', '.join(missing)} (pip install {packages})"))


def _wrapped(text: str) -> str:
    """Break a line at 80 columns, between words."""
    return textwrap.fill(
        text, 80, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _size(parameters: int) -> str:
    return f"{parameters / 1e6:.2f}M"


def _quality(metric: Metric) -> str:
    return f"{metric.name} {metric}"
