r"""Heads about heads: what a network says, changed when it is sampled.

A flow and its Langevin diffusion have one marginal distribution (see `feller.core.noise`). Less
noise than the drift balances gathers samples where the distribution is dense, as a temperature
below 1 does for tokens: neither is the model's distribution any more, on purpose.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.generators import (
    Destination,
    Diffusion,
    Flow,
    Generator,
    Superposition,
    stationary,
)
from feller.core.heads import FlowHead, Head, Kinds, PosteriorHead
from feller.core.times import expand_time, moving_time
from feller.core.typing import Time
from feller.core.weights import WeightLike, weight_of

__all__ = ["LangevinHead", "TemperedHead"]

COLDEST = 1e-6  # below which logits would overflow; it is the mode by then


@dataclass(frozen=True)
class LangevinHead(Head):
    """A flow with its Langevin diffusion, from one output.

    Attributes:
        head: Reads the flow.
        variance: g^2, a function of the time, per unit time.
        scale: Factor on the noise but not on the drift, a number or a function of the time. At 1
            the marginal distributions are the flow's, below 1 samples are more typical.

    Example:
        >>> from feller.core.paths import GaussianPath
        >>> head = LangevinHead(FlowHead("x_1"), lambda t: 1 - t)
        >>> found = head(GaussianPath(), torch.ones(1, 2), torch.zeros(1, 2), 0.5)
        >>> [part.role for part in found.parts], found.split().covariance
        (['forward', 'stationary'], tensor([[0.5000, 0.5000]]))
    """

    head: FlowHead
    variance: Callable[[Tensor], Tensor]
    scale: WeightLike = 1.0
    kinds: ClassVar[Kinds] = frozenset[type[Generator]]({Flow, Diffusion})
    channels: ClassVar[int] = 1

    def __call__(self, path: Any, output: Tensor, x: Tensor, t: Time) -> Superposition:
        """Return the flow, and the diffusion as a stationary part.

        Raises:
            ValueError: On a path whose score does not follow from a velocity.
        """
        path.check_score("the noise of a LangevinHead")
        flow = self.head(path, output, x, t)
        clock = expand_time(moving_time(t), x)
        score = path.convert(output, self.head.prediction, "score", x, clock)
        variance = self.variance(clock)
        scale = weight_of(self.scale).at(x, t)
        noise = Diffusion(variance / 2 * score, (scale**2 * variance).expand_as(x))
        return 1.0 * flow + stationary(noise)

    def estimate(self, path: Any, output: Tensor, x: Tensor, t: Time) -> Destination:
        """Return the estimate of the head."""
        return self.head.estimate(path, output, x, t)


@dataclass(frozen=True)
class TemperedHead(Head):
    """A posterior at a temperature: its logits are divided by it.

    Attributes:
        head: Reads the posterior.
        temperature: 1 for the model's distribution; towards 0 for the most likely value.

    Example:
        >>> from feller.core.paths import MixturePath
        >>> from feller.core.sources import Masked
        >>> from feller.core.spaces import Tokens
        >>> path, x = MixturePath(Tokens(3), Masked(2)), torch.full((1, 1), 2)
        >>> head = TemperedHead(PosteriorHead(2), 0.0)
        >>> head.estimate(path, torch.tensor([[[0.1, 0.2]]]), x, 0.5).log_masses().exp()
        tensor([[[0., 1.]]])
    """

    head: PosteriorHead
    temperature: float

    @property
    def kinds(self) -> Kinds:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The kinds of the head."""
        return self.head.kinds

    @property
    def channels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The channels of the head."""
        return self.head.channels

    def __call__(self, path: Any, output: Tensor, x: Tensor, t: Time) -> Generator:
        """Return what the head reads of the logits at the temperature."""
        return self.head(path, self._tempered(output), x, t)

    def estimate(self, path: Any, output: Tensor, x: Tensor, t: Time) -> Destination:
        """Return the posterior at the temperature."""
        return self.head.estimate(path, self._tempered(output), x, t)

    def _tempered(self, logits: Tensor) -> Tensor:
        if self.temperature > COLDEST:
            return logits / self.temperature
        likely = logits.argmax(-1, keepdim=True)
        return torch.full_like(logits, -torch.inf).scatter(-1, likely, 0.0)
