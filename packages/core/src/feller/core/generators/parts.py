"""Parts: what a generator is made of, with the weight and the role of each in a sum."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from torch import Tensor

from feller.core.generators.weights import check_sum, least

__all__ = ["SIGN", "Compared", "Part", "Role", "Split", "by_name", "check_parts"]

Compared = Tensor | dict[str, Tensor]
"""A loss of each sample, or several that add up, by name."""

Role = Literal["forward", "stationary", "backward"]
SIGN: Mapping[Role, float] = MappingProxyType({"forward": 1.0, "stationary": 0.0, "backward": -1.0})
"""What E L f is in each role, in units of d/dt E f."""


@dataclass(frozen=True)
class Split:
    """A generator on R^d taken apart: theorem 1's drift, diffusion and jumps, weights applied.

    Attributes:
        drift: The velocities of flows and the drifts of diffusions, added; None without either.
        covariance: The covariances of diffusions, added; None without any.
        jumps: The jumps, each a `Jump`.
    """

    drift: Tensor | None = None
    covariance: Tensor | None = None
    jumps: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Part:
    """A weighted generator in a sum.

    Attributes:
        weight: A number, or a tensor that broadcasts against the state (a weight per coordinate).
        generator: The generator.
        role: Whether it moves along the path, leaves it alone, or moves back along it.
    """

    weight: float | Tensor
    generator: Any
    role: Role = "forward"

    def scaled(self) -> Any:
        """Return the generator at its weight."""
        plain = type(self.weight) in (int, float) and self.weight == 1
        return self.generator if plain else self.generator.scaled(self.weight)


def check_parts(parts: tuple[Part, ...], due: float = 1.0) -> None:
    """Reject weights that make no superposition: forward less backward ones sum to `due`.

    Raises:
        ValueError: When they do not, or one is negative.
    """
    if any(least(part.weight) < 0 for part in parts):
        raise ValueError("the weight of a part of a superposition is at least 0")
    check_sum(sum(SIGN[part.role] * part.weight for part in parts), due)


def by_name(compared: Compared) -> dict[str, Tensor]:
    """Return losses by name; that of a generator without parts has the empty name.

    Example:
        >>> import torch
        >>> by_name(torch.ones(1))
        {'': tensor([1.])}
    """
    return compared if isinstance(compared, dict) else {"": compared}
