"""Initialising a model from the weights of another: what fits is taken, the rest is new.

A weight fits if its name and shape match. If its rows stand for named things, such as classes or
tokens, rows are matched by these names, in any order and number (`ModelConfig.row_names`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from feller.core.checkpoint import CheckpointError, checked_weights, model_config, unfitting
from feller.core.config import ConfigError
from feller.core.domains import RegistryError

__all__ = ["Start", "start_from"]

Rows = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Start:
    """Which weights a model took from another, and which it did not.

    Attributes:
        taken: Number of tensors taken, whole or in part.
        initialised: The weights that are new, whole or in part, each with what is new about it.
        left: Weights of the other model that were not used, each with its shape.
    """

    taken: int
    initialised: Mapping[str, str]
    left: Mapping[str, str]

    def __str__(self) -> str:
        words = [f"{self.taken} tensors are taken"]
        if self.initialised:
            words += [
                f"initialised: {'; '.join(f'{k} ({v})' for k, v in self.initialised.items())}"
            ]
        if self.left:
            words += [f"left out: {'; '.join(f'{k} ({v})' for k, v in self.left.items())}"]
        return "; ".join(words)


def start_from(model: Any, folder: str | Path, *, strict: bool = False) -> Start:
    """Give a model the weights of a model folder, as far as they fit.

    Args:
        model: The model.
        folder: The model folder. Most of the model, by the size of its weights, must fit.
        strict: Whether all weights must fit, except for the order of named rows.

    Raises:
        CheckpointError: When weights are missing, corrupt or those of another network; of a strict
            start, when one does not fit.
    """
    folder = Path(folder)
    weights = checked_weights(folder)
    names = _pairs_of_rows(model, folder)
    own: dict[str, Tensor] = model.state_dict()
    try:
        state = load_file(weights)
    except SafetensorError as error:
        raise unfitting(weights, error) from None
    state = _named_as(own, state)
    found: dict[str, Tensor] = {}
    initialised: dict[str, str] = {}
    for name, fresh in own.items():
        value, said = _fitted(fresh, state.get(name), names.get(name))
        found[name] = value
        if said:
            initialised[name] = said
    lost = sum(own[name].numel() for name in initialised if found[name] is own[name])
    left = {n: str([*v.shape]) for n, v in sorted(state.items()) if n not in own}
    if strict and (initialised or left):
        start = Start(len(own) - len(initialised), initialised, left)
        raise CheckpointError(f"training.start-strict: {weights} does not fit whole: {start}")
    if 2 * lost > sum(value.numel() for value in own.values()):
        first = next(f"{k} {v}" for k, v in initialised.items() if found[k] is own[k])
        raise CheckpointError(f"{weights} does not fit the network: {first}, and most others")
    try:
        model.load_state_dict(found)
    except RuntimeError as error:
        raise unfitting(weights, error) from None
    return Start(sum(found[name] is not own[name] for name in own), initialised, left)


def _named_as(own: Iterable[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights by the names they have here, where these differ in wrappers alone."""
    names = {_unwrapped(name): name for name in own}
    return {names.get(_unwrapped(name), name): value for name, value in state.items()}


def _unwrapped(name: str) -> str:
    """Return a name in which nothing lies in a thing of its own name."""
    return ".".join(part for part, _ in groupby(name.split(".")))


def _pairs_of_rows(model: Any, folder: Path) -> dict[str, tuple[Sequence[str], Sequence[str]]]:
    """Return the names of rows, new and old, of the weights that have them in both models."""
    try:
        old: Rows = getattr(model_config(folder), "row_names", dict)()
    except (ConfigError, CheckpointError, RegistryError):
        return {}  # of a type that is not known here: shapes decide
    new: Rows = getattr(getattr(model, "config", None), "row_names", dict)()
    return {name: (new[name], old[name]) for name in new.keys() & old.keys()}


def _fitted(
    fresh: Tensor, old: Tensor | None, rows: tuple[Sequence[str], Sequence[str]] | None
) -> tuple[Tensor, str]:
    """Return a weight with what of the old one belongs there, and what is new about it."""
    if old is None:
        return fresh, f"{[*fresh.shape]}, was missing"
    if rows is None or len(rows[0]) != len(fresh) or len(rows[1]) != len(old):
        same = fresh.shape == old.shape
        return (old, "") if same else (fresh, f"is {[*fresh.shape]}, was {[*old.shape]}")
    if fresh.shape[1:] != old.shape[1:]:
        return fresh, f"is {[*fresh.shape]}, was {[*old.shape]}"
    place = {name: i for i, name in enumerate(rows[1])}
    kept = [i for i, name in enumerate(rows[0]) if name in place]
    if not kept:
        return fresh, f"is {[*fresh.shape]}, was {[*old.shape]}, and no row has a name that it had"
    value = fresh.clone()
    value[kept] = old[torch.tensor([place[rows[0][i]] for i in kept])].to(value)
    new = [name for name in rows[0] if name not in place]
    shown = ", ".join(new[:5]) + ", ..." * (len(new) > 5)
    return value, f"new rows: {shown}; rows taken by name: {len(kept)}" if new else ""
