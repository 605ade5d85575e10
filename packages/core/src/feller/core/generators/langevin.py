r"""Langevin motion: a diffusion that leaves a distribution alone, known by its score.

:math:`\mathcal{L} f = \frac12 e^2 (\nabla \log p \cdot \nabla f + \Delta f)`. Beside a flow, as a
stationary part of a superposition at any weight, it makes the flow a diffusion of the same marginal
path (Generator Matching, arXiv 2410.20587, proposition 3); a corrector it is by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.generators.base import Generator
from feller.core.generators.diffusion import Diffusion
from feller.core.generators.parts import Split
from feller.core.generators.weights import fit_weight
from feller.core.spaces import StateSpace
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["LangevinDiffusion", "own_score"]


@dataclass(frozen=True)
class LangevinDiffusion(Generator):
    r"""The Langevin diffusion of a score.

    Attributes:
        direction: The score times `width`, of the shape of the state: minus the noise in the state,
            which stays of order one when the score does not.
        width: The deviation of the noise, what broadcasts to the state.
        variance: e^2, per unit time, at least 0, what broadcasts to the state. It does not depend
            on the state, or the diffusion would not be stationary.

    Example:
        >>> x = torch.tensor([[2.0]])
        >>> LangevinDiffusion(-x, torch.tensor(1.0), torch.tensor(3.0)).split().drift
        tensor([[-3.]])
    """

    direction: Tensor
    width: Tensor
    variance: Tensor
    has_score: ClassVar[bool] = True
    acts_as: ClassVar[tuple[type[Generator], ...]] = (Diffusion,)

    @property
    def score(self) -> Tensor:
        """The gradient of log p; 0 where there is no width, where it is unknown."""
        there = self.width > 0
        score = self.direction / torch.where(there, self.width, 1.0)
        return torch.where(there, score, 0.0)

    def diffusion(self) -> Diffusion:
        """Return it as drift and covariance."""
        covariance = self.variance.expand_as(self.direction)
        return Diffusion(covariance * self.score / 2, covariance)

    def apply(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return L f(x) of the diffusion."""
        return self.diffusion().apply(f, x)

    def step(self, space: StateSpace, x: Tensor, h: Time, rng: Rng) -> Tensor:
        """Take an Euler-Maruyama step."""
        return self.diffusion().step(space, x, h, rng)

    def average(self, weights: Tensor) -> "LangevinDiffusion":
        """Return that of the mean score; width and variance are the same for all."""
        mean = (expand_time(weights, self.direction) * self.direction).sum(1)
        width, variance = (v.expand_as(self.direction)[:, 0] for v in (self.width, self.variance))
        return LangevinDiffusion(mean, width, variance)

    def scaled(self, weight: float | Tensor) -> "LangevinDiffusion":
        """Return that of a multiple of the variance."""
        weight = fit_weight(weight, self.direction)
        return LangevinDiffusion(self.direction, self.width, weight * self.variance)

    def split(self) -> Split:
        """Return drift and covariance."""
        return self.diffusion().split()

    def compare(self, task: Any) -> Tensor:
        """Return the divergence of `direction` from that of the conditional score."""
        return task.vectors(self.width * task.score(), self.direction)


def own_score(generator: Generator) -> Tensor | None:
    """Return the score that a generator brings with it, in a stationary part; None if none does.

    Example:
        >>> from feller.core.generators import Flow
        >>> own_score(Flow(torch.ones(1, 1))) is None
        True
    """
    parts = (part.generator for part in generator.leaves())
    return next((part.score for part in parts if part.has_score), None)
