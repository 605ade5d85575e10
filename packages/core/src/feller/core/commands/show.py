"""`feller show MODEL`: the card of a model."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from feller.core.registry import read_card

__all__ = ["run"]


def run(argv: Sequence[str]) -> None:
    """Print the card as Markdown or JSON."""
    parser = argparse.ArgumentParser(
        "feller show", description="Print the card of a model: what it is, how good, what it cost."
    )
    parser.add_argument(
        "model", help="a name such as images/fashion-flow, a folder, or hf-hub:org/repo"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the card as JSON (default: Markdown)"
    )
    options = parser.parse_args(argv)
    card = read_card(options.model)
    print(json.dumps(asdict(card), indent=2) if options.json else card.page().rstrip())
