"""Heads of motion with noise: scores, drifts and diffusions, besides velocities.

A velocity determines the score only on a Gaussian path of independent pairs. Elsewhere a second
number for each element learns it: `JointHead((FlowHead(), ScoreHead()), (1.0, 1.0))` is a
diffusion, and with the weights (1, 0) of `Reweighted` the flow of the same marginal path.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.config import tagged
from feller.core.generators import Diffusion, LangevinDiffusion, Role, Superposition, stationary
from feller.core.heads.base import Head, Kinds, check_output
from feller.core.paths import ConditionalPath
from feller.core.solutions import event_rate
from feller.core.times import expand_time, moving_time
from feller.core.typing import Time

__all__ = ["DiffusionHead", "DriftHead", "ScoreHead"]


@tagged("score_head")
@dataclass(frozen=True)
class ScoreHead(Head):
    """The output is the score times the deviation of the noise: the mean of minus the noise xi.

    It is read as Langevin motion, a stationary part, whose noise is that of the path's diffusion
    times `noise`. Source: Albergo, Boffi and Vanden-Eijnden, arXiv 2303.08797, equation 2.17.

    Attributes:
        noise: A multiple of the variance of the path's own diffusion; with a flow, 1 gives that
            diffusion.
    """

    noise: float = 1.0
    kinds: ClassVar[Kinds] = frozenset({LangevinDiffusion})
    channels: ClassVar[int] = 1
    role: ClassVar[Role] = "stationary"

    def __post_init__(self) -> None:
        """Check that the variance is not negative."""
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"noise is finite and at least 0, not {self.noise}")

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Superposition:
        """Return the Langevin motion as a stationary part.

        Raises:
            ValueError: When the output has not the shape of the state, or the path has no noise.
        """
        check_output(output, x.shape)
        clock, known = expand_time(moving_time(t), x), _noisy(path, "score_head")
        variance = self.noise * known.noise_variance(clock)
        return stationary(LangevinDiffusion(output, known.noise_width(clock), variance))


@tagged("drift_head")
@dataclass(frozen=True)
class DriftHead(Head):
    """The output is the drift of a diffusion whose covariance the path knows."""

    kinds: ClassVar[Kinds] = frozenset({Diffusion})
    channels: ClassVar[int] = 1

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Diffusion:
        """Return the diffusion.

        Raises:
            ValueError: When the output has not the shape of the state, or the path has no noise.
        """
        check_output(output, x.shape)
        variance = _noisy(path, "drift_head").noise_variance(expand_time(moving_time(t), x))
        return Diffusion(output, variance.expand_as(output))


@tagged("diffusion_head")
@dataclass(frozen=True)
class DiffusionHead(Head):
    """The output `(b, *event, 2)` is a drift and a variance, where the path's depends on the data.

    The variance is softplus of the second number, in units of the path's rate of events, which
    grows like 1 / (1 - t).
    """

    kinds: ClassVar[Kinds] = frozenset({Diffusion})
    channels: ClassVar[int] = 2

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Diffusion:
        """Return the diffusion.

        Raises:
            ValueError: When the output has other channels.
        """
        check_output(output, (*x.shape, self.channels))
        drift, raw = output.unbind(-1)
        unit = event_rate(path, expand_time(moving_time(t), drift))
        return Diffusion(drift, unit * torch.nn.functional.softplus(raw))


def _noisy(path: ConditionalPath, head: str) -> Any:
    """Return the path, unless it has no noise of a known variance."""
    if not hasattr(path, "noise_width"):
        raise ValueError(
            f"{head} reads a GaussianPath or a BridgePath, not a {type(path).__name__}"
        )
    return path
