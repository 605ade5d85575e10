"""Conditions of any kind: each is embedded as a vector, images are channels beside the state's.

A network has several conditions at once, by name. Each has a null of its own, learnt, for rows that
say nothing of it (`feller.core.conditions`), so that one network is conditional on any part of what
may be known: guidance (arXiv 2207.12598) needs that, and training drops each at its own rate. The
embedding of a sample is the sum of those of its conditions.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from feller.core import random
from feller.core.conditions import dropped
from feller.core.config import fits, tagged
from feller.core.typing import Rng

__all__ = ["Condition", "Conditions", "ConditionsEmbedding", "check_drop", "conditions_of"]


class Condition(ABC):
    """One thing that a network is conditioned on.

    Attributes:
        drop: Fraction of training samples from which it is dropped.
        channels: Channels that it puts beside the state's; 0 for a condition that is a vector.
    """

    drop: float
    channels: int = 0

    @abstractmethod
    def build(self, dim: int) -> nn.Module:
        """Make its embedding: `forward(value, batch=b)` returns `(b, dim)`; None is unknown."""

    @abstractmethod
    def check(self, value: Tensor) -> str:
        """Return what is wrong with a value, such as its shape; empty if nothing."""


@tagged("conditions")
@dataclass(frozen=True)
class Conditions:
    """What a network can be conditioned on, by name.

    Attributes:
        parts: The conditions.

    Example:
        >>> from feller.core.nn.condition_kinds import ClassCondition, FloatCondition
        >>> both = Conditions({"kind": ClassCondition(classes=3), "size": FloatCondition()})
        >>> embed = both.build(16)
        >>> embed({"kind": torch.tensor([0, 2])}, batch=2).shape
        torch.Size([2, 16])
    """

    parts: Mapping[str, Condition]

    def __post_init__(self) -> None:
        """Check that there are conditions, under names that modules and saved files can have."""
        for name, part in self.parts.items():
            if not name.isidentifier() or not fits(part, Condition):
                raise ValueError(f"conditions are a name and a condition each, not {name}: {part}")
            if name == "type":
                raise ValueError("a condition cannot be called 'type', which saved files reserve")
        if not self.parts:
            raise ValueError("conditions are one at least; None for a network without any")

    def build(self, dim: int) -> "ConditionsEmbedding":
        """Make the embedding, of size `dim`."""
        return ConditionsEmbedding(self, dim)

    @property
    def channels(self) -> int:
        """Channels that images put beside those of the state."""
        return sum(part.channels for part in self.parts.values())

    def check_vectors(self, what: str) -> None:
        """Reject images, for networks on states that are none.

        Raises:
            ValueError: When there is an image among them.
        """
        for name, part in self.parts.items():
            if part.channels:
                raise ValueError(
                    f"{what} cannot be concatenated to an image: take {name} out of conditions"
                )

    def check(self, condition: Any, batch: int) -> Mapping[str, Tensor]:
        """Return what is given, without what is None.

        Raises:
            ValueError: When there is no such condition, or a value does not suit it.
        """
        names = ", ".join(self.parts)
        if condition is None:
            return {}
        if not fits(condition, Mapping):
            kind = type(condition).__name__
            raise ValueError(f"conditions are a dict of tensors by name ({names}), not a {kind}")
        given = {name: value for name, value in condition.items() if value is not None}
        for name, value in given.items():
            if name not in self.parts:
                raise ValueError(
                    f"the network has the conditions {names}: {name!r} is none of them"
                )
            fault = self.parts[name].check(value)
            if not fault and len(value) != batch:
                fault = f"one row a sample, {batch}, not {len(value)}"
            if fault:
                raise ValueError(f"the condition {name!r} is {fault}")
        return given

    def dropped(self, condition: Any, rng: Rng) -> Any:
        """Return a condition of which each part says nothing in some rows, at its own rate.

        Args:
            condition: The conditions. Whatever is not a dict, such as None, stays as it is.
            rng: A generator a row.
        """
        if not fits(condition, Mapping):
            return condition
        found = dict(condition)
        for name, part in self.parts.items():
            value = found.get(name)
            if part.drop and value is not None:
                like = torch.empty(0, device=value.device)
                where = random.uniform((len(value),), rng, like=like) < part.drop
                found[name] = dropped(value, where)
        return found


def conditions_of(model: Any) -> Conditions | None:
    """Return the conditions of a model's network; None if it has none.

    Those of its configuration, or else all those that its modules embed.
    """
    network: Any = getattr(getattr(model, "config", None), "network", None)
    if hasattr(network, "conditions"):
        return network.conditions
    modules = model.modules() if isinstance(model, nn.Module) else ()
    found = [module.config.parts for module in modules if isinstance(module, ConditionsEmbedding)]
    return Conditions({k: v for parts in found for k, v in parts.items()}) if found else None


class ConditionsEmbedding(nn.Module):
    """Conditions as one vector a sample, and as channels."""

    def __init__(self, config: Conditions, dim: int) -> None:
        super().__init__()
        self.config = config
        self.parts = nn.ModuleDict({name: part.build(dim) for name, part in config.parts.items()})
        self.nothing: Tensor  # what images add up to as vectors
        self.register_buffer("nothing", torch.zeros(dim), persistent=False)

    def forward(self, condition: Any, *, batch: int) -> Float[Tensor, "b d"]:
        """Return the sum of the embeddings; None, or a name left out, is unknown."""
        given = self.config.check(condition, batch)
        vectors = [
            self.parts[name](given.get(name), batch=batch)
            for name, part in self.config.parts.items()
            if not part.channels
        ]
        return torch.stack(vectors).sum(0) if vectors else self.nothing.expand(batch, -1)

    def beside(self, x: Float[Tensor, "b c h w"], condition: Any) -> Float[Tensor, "b more h w"]:
        """Return states with the images that are conditions as more channels."""
        given = self.config.check(condition, len(x))
        more: list[Any] = [
            self.parts[name](given.get(name), like=x)
            for name, part in self.config.parts.items()
            if part.channels
        ]
        return torch.cat([x, *more], 1) if more else x


def check_drop(drop: float) -> None:
    """Check that the fraction is in [0, 1].

    Raises:
        ValueError: When it is not in [0, 1].
    """
    if not 0 <= drop <= 1:
        raise ValueError(f"drop is a fraction in [0, 1], not {drop}")
