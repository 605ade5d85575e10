r"""Flow: the deterministic part, :math:`\mathcal{L} f = \nabla f \cdot u`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from feller.core.generators.base import Generator
from feller.core.generators.parts import Split
from feller.core.generators.weights import fit_weight
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["Flow"]


@dataclass(frozen=True)
class Flow(Generator):
    """Motion along a velocity.

    Attributes:
        velocity: The shape of the state, per unit time.

    Example:
        >>> x = torch.tensor([[1.0], [2.0]])
        >>> Flow(2 * x).apply(lambda x: (x**2).sum(-1), x)
        tensor([ 4., 16.])
    """

    velocity: Tensor

    def apply(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return the derivative of `f` along the velocity."""
        return torch.func.jvp(f, (x,), (self.velocity,))[1]

    def step(self, space: Any, x: Tensor, h: Time, rng: Rng) -> Tensor:
        """Follow the geodesic of the velocity for time `h`."""
        if space.is_flat and isinstance(h, float):
            return torch.add(x, self.velocity, alpha=h)
        if not space.is_manifold:
            raise ValueError(f"a flow moves on a manifold, not on {space}")
        h = expand_time(h, x)
        # Where a clock stands still, at t = 1, the velocity may be infinite.
        return torch.where(h == 0, x, space.exp(x, h * self.velocity))

    def average(self, weights: Tensor) -> "Flow":
        """Return the flow of the mean velocity."""
        return Flow((expand_time(weights, self.velocity) * self.velocity).sum(1))

    def scaled(self, weight: float | Tensor) -> "Flow":
        """Return the flow of a multiple of the velocity."""
        return Flow(fit_weight(weight, self.velocity) * self.velocity)

    def split(self) -> Split:
        """Return the velocity as the drift."""
        return Split(drift=self.velocity)

    def compare(self, task: Any) -> Tensor:
        """Return the divergence of the velocities, or of what they convert to on the path."""
        target = task.target(Flow)
        return task.vectors(task.converted(target.velocity), task.converted(self.velocity))
