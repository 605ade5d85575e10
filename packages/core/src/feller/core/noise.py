r"""Noise: the same marginal distribution with any diffusion, chosen after training.

A flow of the Gaussian path knows its score, and other models bring theirs; with the score the
Langevin diffusion of drift :math:`\frac12 (g^2 \nabla \log p_t + \nabla g^2)`, which leaves p_t
alone for any g(t, x) >= 0. Flow and Langevin part together are a diffusion that moves along the
path. Without the gradient of g^2 a noise that depends on the state would bend the distribution.

Source: Generator Matching, arXiv 2410.20587, proposition 3; Albergo et al., arXiv 2303.08797,
theorem 2.13.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.couplings import check_score
from feller.core.derived import DerivedModel
from feller.core.generators import Diffusion, Generator, Superposition
from feller.core.generators.langevin import own_score
from feller.core.heads import Kinds
from feller.core.solutions import langevin
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["Langevin", "Noise", "Noised"]

Noise = float | Callable[..., Tensor] | None
r"""g: a number, a function of t, or a function of (t, x).

The latter returns a number per sample `(b,)` or per coordinate; t comes as the model gets it, as a
tensor. None is :math:`g^2 = -2 \sigma \dot\sigma`, finite at the source and 0 at the data.
"""


@dataclass(frozen=True)
class Langevin(DerivedModel):
    """The Langevin diffusion of a flow's distribution: a stationary part of a superposition.

    Attributes:
        model: A model that returns flows, on a Gaussian path of independent pairs; otherwise, one
            that predicts its score (`feller.core.heads.ScoreHead`).
        noise: g, per square root of unit time.

    Example:
        >>> from feller.core.algebra import stationary
        >>> from feller.core.generators import Flow
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.posteriors import FiniteData
        >>> flow = FiniteData(GaussianPath(), Flow, torch.tensor([[-2.0], [2.0]]))
        >>> mixed = 1.0 * flow + 0.5 * stationary(Langevin(flow, 2.0))
        >>> mixed(torch.ones(1, 1), 0.0).parts[1].generator.drift  # half of 4 times the score
        tensor([[-2.]])
    """

    model: Any
    noise: Noise = None
    kinds: ClassVar[Kinds] = frozenset({Diffusion})  # pyright: ignore[reportIncompatibleMethodOverride]
    _of_state: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Reject a model that brings no score, and whose velocity does not determine it."""
        if not any(kind.has_score for kind in self.model.kinds):
            check_score(self.model, "noise added to a flow")
        # Looked at once: a compiled call cannot ask for a signature.
        object.__setattr__(self, "_of_state", _depends_on_state(self.noise))

    def part_kinds(self) -> tuple[Kinds, ...]:
        """Return the one kind."""
        return (self.kinds,)

    def __call__(self, x: Tensor, t: Time, condition: Any = None) -> Diffusion:
        """Return the Langevin diffusion at (x, t)."""
        return self.beside(self.model(x, t, condition), x, t)

    def beside(self, generator: Generator, x: Tensor, t: Time) -> Diffusion:
        """Return the Langevin diffusion at (x, t), where the model's generator is known."""
        score = own_score(generator)
        if score is None:
            score = self._score(velocity_of(generator), x, t)
        variance = _variance(self.noise, self.path, x, t, of_state=self._of_state)
        return langevin(score, *variance)

    def _score(self, velocity: Tensor, x: Tensor, t: Time) -> Tensor:
        schedule, clock = self.path.schedule, expand_time(t, x)
        score = self.path.convert(velocity, "velocity", "score", x, t)
        # At the source the states are noise alone, which a velocity of 0 would not show.
        return torch.where(schedule.alpha(clock) == 0, -x / schedule.sigma(clock) ** 2, score)


def velocity_of(generator: Generator) -> Tensor:
    """Return the velocity of a flow, beside which there may be Langevin motion.

    Raises:
        ValueError: When the generator has other parts.
    """
    leaves = generator.leaves()
    moving = tuple(p for p in leaves if not p.generator.has_score)
    parts = Superposition(moving).split()
    if parts.drift is None or parts.covariance is not None or parts.jumps:
        raise ValueError("noise is added to a flow; this model returns more than a velocity")
    return parts.drift


@dataclass(frozen=True)
class Noised(DerivedModel):
    """A flow model with noise: a diffusion of the same marginal distribution.

    Attributes:
        model: A model that returns flows, on a Gaussian path of independent pairs; otherwise, one
            that predicts its score (`feller.core.heads.ScoreHead`).
        noise: g, per square root of unit time.

    Example:
        >>> from feller.core.generators import Flow
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.posteriors import FiniteData
        >>> flow = FiniteData(GaussianPath(), Flow, torch.tensor([[-2.0], [2.0]]))
        >>> Noised(flow, lambda t: 1 - t)(torch.ones(1, 1), 0.5).covariance
        tensor([[0.2500]])
    """

    model: Any
    noise: Noise = None
    kinds: ClassVar[Kinds] = frozenset({Diffusion})  # pyright: ignore[reportIncompatibleMethodOverride]
    _part: Langevin = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Reject a model whose score does not follow from its velocity."""
        object.__setattr__(self, "_part", Langevin(self.model, self.noise))

    def part_kinds(self) -> tuple[Kinds, ...]:
        """Return the one kind."""
        return (self.kinds,)

    def __call__(self, x: Tensor, t: Time, condition: Any = None) -> Diffusion:
        """Return flow and Langevin diffusion, added; the model is called once."""
        generator = self.model(x, t, condition)
        noise = self._part.beside(generator, x, t)
        return Diffusion(velocity_of(generator) + noise.drift, noise.covariance)


def _depends_on_state(noise: Noise) -> bool:
    """Return whether g is a function of (t, x); torch's own, without a signature, are of t.

    What has a default is an option of the function, not the state.
    """
    if not callable(noise):
        return False
    try:
        asked = [p.default is p.empty for p in inspect.signature(noise).parameters.values()]
    except ValueError:
        return False
    return sum(asked) > 1


def _variance(
    noise: Noise, path: Any, x: Tensor, t: Time, *, of_state: bool
) -> tuple[Tensor, Tensor | None]:
    """Return g^2 and the derivative of each g_i^2 by x_i, None where it is zero."""
    clock = expand_time(t, x)
    if noise is None:
        return path.noise_variance(clock), None
    if not callable(noise):
        return torch.full_like(clock, noise) ** 2, None
    time = t if isinstance(t, Tensor) else clock
    if not of_state:
        return expand_time(noise(time), x) ** 2, None

    def square(x: Tensor) -> Tensor:
        return expand_time(noise(time, x), x) ** 2

    return square(x), _diagonal(square, x)


def _diagonal(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the derivative of f_i by x_i for each coordinate of an event.

    A number per sample takes one backward pass, numbers for some axes, or per coordinate, one
    forward pass for each coordinate.
    """
    value, pull, *_ = torch.func.vjp(f, x)
    if value[0].numel() == 1:
        return pull(torch.ones_like(value))[0]

    def full(x: Tensor) -> Tensor:
        return f(x).expand_as(x)

    parts = []
    for i in range(x[0].numel()):
        direction = torch.zeros_like(x).flatten(1)
        direction[:, i] = 1
        slope = torch.func.jvp(full, (x,), (direction.view_as(x),))[1]
        parts.append(slope.flatten(1)[:, i])
    return torch.stack(parts, 1).view_as(x)
