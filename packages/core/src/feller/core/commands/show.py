"""`feller show NAME`: the card of a model, or a recipe, and what it costs."""

import argparse
import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from feller.core.cards import ModelCard
from feller.core.domains import domain_of, list_models, list_recipes, recipe, resolve
from feller.core.registry import model_folder, read_card

__all__ = ["run"]


def run(argv: Sequence[str]) -> None:
    """Print the card, or what a recipe is, with the cost, as Markdown or JSON."""
    parser = argparse.ArgumentParser(
        "feller show",
        description="Print the card of a model or recipe: what it is, how good, what it costs.",
    )
    parser.add_argument(
        "model",
        help="a model or recipe such as images/fashion-flow, a folder, or hf-hub:org/repo",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the card as JSON (default: Markdown)"
    )
    options = parser.parse_args(argv)
    card, cost = _looked_up(options.model)
    if options.json:
        print(json.dumps(asdict(card) | {"cost": asdict(cost)}, indent=2))
    else:
        batch = card.training.get("batch_size", 0) // card.training.get("accumulate", 1)
        print(f"{card.page()}\n{cost.page(batch)}")


def _looked_up(name: str) -> tuple[ModelCard, Any]:
    """Return the card of a model, or of one that a recipe would train, and the cost."""
    from feller.core.checkpoint import model_config
    from feller.core.training.cost import cost_of

    if name in list_models() or name not in list_recipes():
        return read_card(name), cost_of(model_config(model_folder(name)))
    found = recipe(name)
    cost = cost_of(found.model, found.objective)
    function = resolve(domain_of(name).recipes[name.split("/", 1)[1]])
    card = ModelCard(
        name=name,
        summary=inspect.getdoc(function) or "",
        parameters=cost.parameters,
        dataset=getattr(found.data, "source", ""),
        training={
            key: getattr(found.training, key) for key in ("steps", "batch_size", "accumulate")
        },
        limitations="A recipe: there are no weights before it is trained.",
    )
    return card, cost
