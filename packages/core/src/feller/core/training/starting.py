"""The first weights of a run that starts from another model, and what is new in it."""

import warnings
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from feller.core.checkpoint import model_config, read_config
from feller.core.config import ConfigError, decode, encode, leaves
from feller.core.registry import model_folder
from feller.core.starts import start_from
from feller.core.training.config import Recipe

__all__ = ["first_weights", "with_model_of_start"]


def with_model_of_start(recipe: Recipe) -> Recipe:
    """Return a recipe with the model that it starts from, where it asks for that.

    Raises:
        ValueError: When models of that type are not trained.
    """
    if not recipe.training.start_model:
        return recipe
    model = model_config(model_folder(recipe.training.start))
    if not hasattr(model.build(), "path"):
        raise ValueError(
            f"training.start-model: {recipe.training.start} is a {type(model).__name__}, which no "
            "path leads to: it cannot be trained"
        )
    return replace(recipe, model=model)


def first_weights(
    recipe: Recipe, accelerator: Accelerator, known: Collection[str] | None
) -> Callable[[Any], Collection[str]] | None:
    """Return what gives a model its first weights, where the recipe names another's.

    Args:
        recipe: What to train.
        accelerator: Devices and processes.
        known: The names of weights that were new when the run began, where it goes on: its own
            weights come from a checkpoint. None for a run that begins.
    """
    training = recipe.training
    if not training.start:
        return None
    if known is not None:
        return lambda model: known

    def begin(model: Any) -> Collection[str]:
        with accelerator.local_main_process_first():  # one process of a host downloads
            folder = model_folder(training.start)
        start = start_from(model, folder, strict=training.start_strict)
        accelerator.print(f"starting from the weights of {training.start}: {start}")
        if accelerator.is_main_process:
            _warn_of_differences(folder, encode(model.config))
        return start.initialised

    return begin


def _warn_of_differences(folder: Path, asked: dict[str, Any]) -> None:
    """Say in one line how the model of a folder is another than the one asked for, if it is."""
    stored = read_config(folder)["model"]
    with suppress(ConfigError):  # of types that are not known here: compared as it is written
        stored = encode(decode(stored))  # a field newer than the model has its default
    old, new = leaves(stored), leaves(asked)
    keys = [key for key in old | new if old.get(key, "missing") != new.get(key, "missing")]
    if not keys:
        return

    def shown(flat: dict[str, Any], key: str) -> str:
        value = repr(flat[key]) if key in flat else "missing"
        return value if len(value) <= 40 else f"{value[:37]}..."

    named = [f"{key} is {shown(new, key)} and was {shown(old, key)}" for key in keys[:3]]
    named += [f"and {len(keys) - 3} more"] * (len(keys) > 3)
    warnings.warn(
        f"training.start {folder}: the weights come from another model: {'; '.join(named)}",
        stacklevel=2,
    )
