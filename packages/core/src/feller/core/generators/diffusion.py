r"""Diffusion: drift and noise.

:math:`\mathcal{L} f = \nabla f \cdot b + \frac12 \sum_i g_i^2 \partial_i^2 f`. The noise may depend
on the state. It is diagonal: each coordinate has its own variance. On an interval it is reflected
at the ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from feller.core import random
from feller.core.generators.base import Generator
from feller.core.generators.parts import Split
from feller.core.generators.weights import fit_weight
from feller.core.spaces import StateSpace
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["Diffusion"]


@dataclass(frozen=True)
class Diffusion(Generator):
    """Motion along a drift, with noise.

    Attributes:
        drift: The shape of the state, per unit time.
        covariance: g^2 of each coordinate, per unit time, at least 0; the shape of the state, or
            what broadcasts to it.

    Example:
        >>> x = torch.tensor([[1.0], [2.0]])
        >>> Diffusion(-x, torch.tensor(2.0)).apply(lambda x: (x**2).sum(-1), x)
        tensor([ 0., -6.])
    """

    drift: Tensor
    covariance: Tensor

    def apply(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return the drift's derivative of `f` and half the weighted second derivatives."""
        first = torch.func.jvp(f, (x,), (self.drift,))[1]
        covariance = self.covariance.expand_as(x).flatten(1)
        second = [
            _second_derivative(f, x, i) * covariance[:, i] for i in range(covariance.shape[1])
        ]
        return first + 0.5 * torch.stack(second).sum(0)

    def step(self, space: StateSpace, x: Tensor, h: Time, rng: Rng) -> Tensor:
        """Take an Euler-Maruyama step: x + h b + sqrt(h) g xi, folded back into an interval."""
        noise = random.normal(x.shape, rng, like=x)
        if not isinstance(h, Tensor):
            moved = torch.add(x, self.drift, alpha=h).addcmul_((h * self.covariance).sqrt(), noise)
            return space.reflect(moved)
        h = expand_time(h, x)
        moved = space.reflect(x + h * self.drift + (h * self.covariance).sqrt() * noise)
        # Where a clock stands still, at t = 1, the drift may be infinite.
        return torch.where(h == 0, x, moved)

    def average(self, weights: Tensor) -> "Diffusion":
        """Return the diffusion of the mean drift and the mean covariance."""
        covariance = self.covariance.expand_as(self.drift)
        weights = expand_time(weights, self.drift)
        return Diffusion((weights * self.drift).sum(1), (weights * covariance).sum(1))

    def scaled(self, weight: float | Tensor) -> "Diffusion":
        """Return the diffusion of a multiple of the drift and the covariance."""
        weight = fit_weight(weight, self.drift)
        return Diffusion(weight * self.drift, weight * self.covariance)

    def split(self) -> Split:
        """Return the drift and the covariance."""
        return Split(self.drift, self.covariance)

    def compare(self, task: Any) -> Tensor:
        """Return the divergence of drifts and covariances, side by side in a last axis."""
        return task.vectors(task.target(Diffusion).coordinates(), self.coordinates())

    def coordinates(self) -> Tensor:
        """Return drift and covariance in a last axis, `(b, *event, 2)`."""
        return torch.stack([self.drift, self.covariance.expand_as(self.drift)], -1)


def _second_derivative(f: Callable[[Tensor], Tensor], x: Tensor, i: int) -> Tensor:
    """Return the second derivative of `f` along coordinate `i` of an event."""
    direction = torch.zeros_like(x).flatten(1)
    direction[:, i] = 1
    direction = direction.view_as(x)

    def slope(x: Tensor) -> Tensor:
        return torch.func.jvp(f, (x,), (direction,))[1]

    return torch.func.jvp(slope, (x,), (direction,))[1]
