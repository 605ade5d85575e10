r"""Bridges: :math:`x_t = a_t x_0 + b_t x_1 + g_t \xi` between the two ends of a pair.

The conditioning variable is the pair (x_0, x_1), with any source and any coupling; the noise xi is
standard normal and g is 0 at both ends. So data are translated to data, and what is known of the
path, its score and its diffusion, holds however the ends depend on each other. a and b are the
noise and the data coefficient of a schedule: straight lines on `CondOT`, a quarter turn on
`Cosine`.

Source: Albergo, Boffi and Vanden-Eijnden, arXiv 2303.08797 (stochastic interpolants); Tong et al.,
arXiv 2307.03672 (Brownian bridges).
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core import random
from feller.core.checks import check_times
from feller.core.config import tagged
from feller.core.generators import Generator
from feller.core.pairs import Pair, is_pair
from feller.core.paths.base import ConditionalPath, Drawn, check_parts, check_source
from feller.core.paths.bridge_noise import BridgeNoise, BrownianNoise
from feller.core.schedules import CondOT, Schedule, check_mixing
from feller.core.sources import Gaussian, Source
from feller.core.spaces import Euclidean
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["BridgePath"]


@tagged("bridge_path")
@dataclass(frozen=True)
class BridgePath(ConditionalPath):
    """Gaussians around the line between two endpoints, pinned at both.

    Attributes:
        space: Where states live.
        schedule: b is its data coefficient, a its noise coefficient.
        noise: The variance g^2; None for a line without noise.
        source: The distribution of x_0; `DataSource()` if it is a data set.

    Raises:
        ValueError: When a schedule or a noise is not pinned at both ends.

    Example:
        >>> pair = Pair(torch.zeros(1, 2), torch.ones(1, 2))
        >>> BridgePath(noise=None).sample(pair, 0.25)
        tensor([[0.2500, 0.2500]])
    """

    space: Euclidean = field(default_factory=Euclidean)
    schedule: Schedule = field(default_factory=CondOT)
    noise: BridgeNoise | None = field(default_factory=BrownianNoise)
    source: Source = field(default_factory=Gaussian)
    coupled_kinds: ClassVar[tuple[type[Generator], ...]] = (Generator,)

    def __post_init__(self) -> None:
        """Reject what is not pinned at both ends, and a source outside the space."""
        check_parts(self)
        check_mixing(self.schedule)
        check_source(self.space, self.source)
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64, device="cpu")
        left = float(self.schedule.sigma(ends)[1])
        if left != 0:
            raise ValueError(
                f"a bridge ends at x_1, {self.schedule} leaves {left:.3g} of x_0: choose CondOT, "
                "Polynomial or Cosine"
            )
        strays = float(self._variance(ends).abs().max())
        if not strays < 1e-12:
            raise ValueError(f"the noise of a bridge is 0 at both ends, {self.noise} is not")

    def given(self, x_0: Tensor, x_1: Tensor) -> Pair:
        """Return the pair."""
        return Pair(x_0, x_1)

    def sample(self, z: Pair, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Tensor:
        """Return a x_0 + b x_1 + g xi."""
        return self._draw(z, t, rng, x_0)[0]

    def draw(self, z: Pair, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Drawn:
        """Return x_t, and a_dot x_0 + b_dot x_1 + g_dot xi."""
        x, xi = self._draw(z, t, rng, x_0)
        z = z if x_0 is None else Pair(x_0, z.x_1)
        clock, schedule = expand_time(t, z.x_1), self.schedule
        way = schedule.sigma_dot(clock) * z.x_0
        way = torch.addcmul(way, schedule.alpha_dot(clock), z.x_1)
        if xi is None or self.noise is None:
            return Drawn(x, way)
        return Drawn(x, torch.addcmul(way, self.noise.width_dot(clock), xi))

    def log_density(self, x: Tensor, t: Time, z: Pair) -> Tensor:
        """Return log p_t(x | z) in nats, summed over an event; `x` and `z` broadcast.

        Elements without noise, at either end, are known: they count 0 where they are on the line,
        else minus infinity.

        Raises:
            ValueError: On a bridge without noise, which has no density.
        """
        if self.noise is None:
            raise ValueError("a bridge without noise has no density")
        clock = expand_time(t, x)
        away, variance = x - self._line(z, clock), self._variance(clock)
        density = -0.5 * (away**2 / variance + variance.log() + math.log(2 * math.pi))
        density = torch.where(variance > 0, density, torch.where(away == 0, 0.0, -torch.inf))
        return density.flatten(-self.space.event_dim).sum(-1)

    def score(self, x: Tensor, t: Time, z: Pair) -> Tensor:
        """Return -(x - a x_0 - b x_1) / g^2, which is not finite at the ends."""
        clock = expand_time(t, x)
        return (self._line(z, clock) - x) / self._variance(clock)

    def noise_variance(self, t: Tensor) -> Tensor:
        r"""Return :math:`e^2 = (g^2)^\cdot - 2 g^2 \dot a / a`, or 0 where it is less.

        The rate at which a diffusion that follows the line spreads as g^2 does; on the Brownian
        bridge s^2 at every time.
        """
        if self.noise is None:
            return torch.zeros_like(t)
        a, g2 = self.schedule.sigma(t), self.noise.variance(t)
        pull = torch.where(a > 0, self.schedule.sigma_dot(t) / torch.where(a > 0, a, 1.0), 0.0)
        return (self.noise.variance_dot(t) - 2 * pull * g2).clamp_min(0)

    def noise_width(self, t: Tensor) -> Tensor:
        """Return g.

        Raises:
            ValueError: On a bridge without noise, which has no score.
        """
        if self.noise is None:
            raise ValueError("a bridge without noise has no score: give it a noise")
        return self.noise.variance(t).sqrt()

    def toward(self, x: Tensor, t: Tensor, z: Pair, *, noisy: bool = False) -> Tensor:
        """Return the conditional velocity at `x`, or the drift of the diffusion where `noisy`.

        Both are the velocity along the line and a multiple of the way from the line to `x`: g_dot /
        g times, for the drift a_dot / a times where the diffusion has noise.
        """
        a, b = self.schedule.sigma(t), self.schedule.alpha(t)
        a_dot, b_dot = self.schedule.sigma_dot(t), self.schedule.alpha_dot(t)
        pull = self._spread(t)
        if noisy:
            free = (self.noise_variance(t) > 0) & (a > 0)
            pull = torch.where(free, a_dot / torch.where(free, a, 1.0), pull)
        way = torch.addcmul((a_dot - pull * a) * z.x_0, b_dot - pull * b, z.x_1)
        return torch.addcmul(way, pull, x)

    def _spread(self, t: Tensor) -> Tensor:
        """Return g_dot / g, 0 where there is no noise."""
        variance = self._variance(t)
        if self.noise is None:
            return variance
        slope = self.noise.variance_dot(t) / (2 * torch.where(variance > 0, variance, 1.0))
        return torch.where(variance > 0, slope, 0.0)

    def _draw(self, z: Any, t: Time, rng: Rng, x_0: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return x_t and the noise xi in it, None where there is none."""
        check_times(t)
        _check_pair(z)
        z = z if x_0 is None else Pair(x_0, z.x_1)
        clock = expand_time(t, z.x_1)
        line = self._line(z, clock)
        if self.noise is None:
            return line, None
        xi = random.normal(line.shape, rng, like=line)
        return torch.addcmul(line, self._variance(clock).sqrt(), xi), xi

    def _line(self, z: Any, t: Tensor) -> Tensor:
        _check_pair(z)
        return torch.addcmul(self.schedule.sigma(t) * z.x_0, self.schedule.alpha(t), z.x_1)

    def _variance(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t) if self.noise is None else self.noise.variance(t)


def _check_pair(z: Any) -> None:
    if not is_pair(z):
        raise ValueError(
            f"a bridge is between the two ends of a Pair(x_0, x_1), not given a {type(z).__name__}"
        )
