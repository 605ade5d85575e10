"""The optimizer of a recipe, and its rate at each step."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from feller.core.checks import check_choices
from feller.core.config import tagged
from feller.core.training.groups import grouped
from feller.core.training.muon import Muon

__all__ = ["Optimizer"]


@tagged("optimizer")
@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """AdamW or Muon, with warm-up, then a constant or cosine learning rate."""

    name: Literal["adamw", "muon"] = "adamw"
    """AdamW; or Muon for matrices (`feller.core.training.muon`), with learning rates as for
    AdamW."""
    lr: float = 2e-4
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the first and second moments."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    warmup: int = 200
    """Steps over which the learning rate rises from zero."""
    decay: Literal["constant", "cosine"] = "cosine"
    """Rate after warm-up: constant, or a cosine that falls to `final` at the last step."""
    final: float = 0.1
    """Learning rate at the end of the cosine, as a fraction of the peak."""
    clip: float = 1.0
    """Norm to which gradients are clipped; 0 for no clipping."""
    groups: tuple[str, ...] = ()
    """Factors on the learning rate of some weights, such as `new=10 "*.embed_*=0.1"`: `new` for
    weights that `training.start` did not give, or a name pattern; the first match counts. 0 freezes
    weights."""

    def __post_init__(self) -> None:
        """Reject unknown names, and numbers that would train uphill or not at all."""
        check_choices(self)
        for name in ("lr", "weight_decay", "warmup", "final", "clip"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is finite and at least 0, not {getattr(self, name)}")
        self.factors()
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are two numbers in [0, 1), not {self.betas}")

    def factors(self) -> dict[str, float]:
        """Return the multiple of the rate by pattern.

        Example:
            >>> Optimizer(groups=("new=10", "*.embed*=0.1")).factors()
            {'new': 10.0, '*.embed*': 0.1}
        """
        found: dict[str, float] = {}
        for group in self.groups:
            pattern, _, factor = group.rpartition("=")
            try:
                found[pattern] = float(factor)
            except ValueError:
                pattern = ""
            if not pattern or not 0 <= found[pattern] < math.inf:
                raise ValueError(f"groups are like new=10 or '*.embed*=0.1', not {group!r}")
        return found

    def build(self, model: nn.Module, new: Collection[str] = ()) -> torch.optim.Optimizer:
        """Make the optimizer of a model's weights, those that need no gradient left out.

        Args:
            model: The model.
            new: Names of weights that are new, where it starts from another.

        Raises:
            ValueError: When a group has no weights.
        """
        settings: Any = {"lr": self.lr, "betas": self.betas, "weight_decay": self.weight_decay}
        if self.name == "muon":
            optimizer: torch.optim.Optimizer = Muon(model, **settings)
        else:
            weights = [p for p in model.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(weights, **settings)
        return grouped(optimizer, model, self.factors(), new)

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of step number `step` (from 0) of `steps`.

        Example:
            >>> Optimizer(lr=1.0, warmup=4).rate(1, 100)
            0.5
        """
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.decay == "constant":
            return self.lr
        done = (step - self.warmup) / max(1, steps - self.warmup)
        return self.lr * (self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2)
