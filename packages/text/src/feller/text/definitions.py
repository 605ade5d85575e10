"""Fields of a recipe that are a file of JSON: a tokenizer, a configuration of `transformers`."""

from typing import Annotated

import tyro

__all__ = ["Definition"]

LONGEST = 80  # characters of a default that help shows: a tokenizer has a megabyte


def _hint(default: str) -> str:
    """Say in help what the default is, or that it is the recipe's where it is long."""
    return f"(default: {default if len(default) <= LONGEST else 'that of the recipe'})"


Definition = Annotated[str, tyro.conf.arg(metavar="FILE", help_behavior_hint=_hint)]
"""JSON, or on the command line the path of a file with it."""
