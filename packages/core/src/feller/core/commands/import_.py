"""`feller import FOLDER --out DIR`: a model that another library wrote, as a model of feller."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feller.core.cards import ModelCard

__all__ = ["run"]


def run(argv: Sequence[str]) -> None:
    """Read a folder of others, say how it is read, and write a model folder."""
    parser = argparse.ArgumentParser(
        "feller import",
        description="Read a model of another library and write it as a feller model folder.",
    )
    parser.add_argument("folder", help="a folder, a weight file, or hf-hub:org/repo")
    parser.add_argument(
        "--out", type=Path, required=True, help="model folder to write (default: none, required)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value that the configuration lacks; errors say which (default: none)",
    )
    options = parser.parse_args(argv)
    given = dict(_parsed(text) for text in options.set)
    from feller.core.checkpoint import save_model
    from feller.core.importing import import_model
    from feller.core.registry import model_folder

    folder = options.folder
    if folder.startswith("hf-hub:"):
        folder = model_folder(folder)
    found = import_model(folder, given)
    count = sum(weight.numel() for weight in found.model.parameters())
    save_model(found.model, options.out, card=_card(found, options.out.name, count))
    rows = {"family": found.family, "weights": f"{count:,}", "licence": found.licence}
    for name, text in {**rows, **found.reading}.items():
        print(f"{name:12} {text}")
    print(f"{options.out} is ready: feller.core.load({str(options.out)!r})")


def _card(found: Any, name: str, count: int) -> ModelCard:
    """Return the card of what was read, of a number of weights."""
    return ModelCard(
        name=name,
        task="imported",
        summary=f"Weights of a {found.family}, read by feller.",
        licence=found.licence,
        parameters=count,
        training=dict(found.reading),
        hub_task=getattr(found.model.config, "hub_task", "other"),
    )


def _parsed(text: str) -> tuple[str, Any]:
    """Return a name and its value, which is JSON or else a word."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"--set takes NAME=VALUE, not {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
