"""Groups of weights that are trained at multiples of the learning rate."""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.optim import Optimizer

__all__ = ["FACTOR", "NEW", "grouped"]

NEW = "new"
"""The group of weights that no start gave."""
FACTOR = "rate_factor"
"""The setting of an optimizer's group that its rate is multiplied by."""


def grouped(
    optimizer: Optimizer, model: nn.Module, factors: Mapping[str, float], new: Collection[str] = ()
) -> Optimizer:
    """Split the groups of an optimizer by the multiple of the rate of each weight.

    Args:
        optimizer: A fresh optimizer; it is changed.
        model: The model.
        factors: Multiples by pattern of names, and of weights that are new by `new`.
        new: Names of weights that are new.

    Raises:
        ValueError: When a pattern fits no weight.

    Example:
        >>> import torch
        >>> model = nn.Linear(2, 2)
        >>> made = grouped(torch.optim.SGD(model.parameters(), lr=1.0), model, {"bias": 10.0})
        >>> [(len(group["params"]), group[FACTOR]) for group in made.param_groups]
        [(1, 1.0), (1, 10.0)]
    """
    if not factors:
        return optimizer
    names = [name for name, _ in model.named_parameters()]
    for pattern in factors:
        if not any(_fits(name, pattern, new) for name in names):
            what = "no weight is new" if pattern == NEW else f"no weight is called {pattern}"
            raise ValueError(f"optimizer.groups: {what}; there are {_some(names)}")
    of = {
        id(weight): next((f for p, f in factors.items() if _fits(name, p, new)), 1.0)
        for name, weight in model.named_parameters()
    }
    split: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        for factor in sorted({of[id(weight)] for weight in group["params"]}):
            chosen = [weight for weight in group["params"] if of[id(weight)] == factor]
            split.append({**group, "params": chosen, FACTOR: factor})
    optimizer.param_groups[:] = split
    return optimizer


def _fits(name: str, pattern: str, new: Collection[str]) -> bool:
    return name in new if pattern == NEW else fnmatchcase(name, pattern)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)
