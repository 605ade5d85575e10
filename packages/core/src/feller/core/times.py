"""Time: how it broadcasts, and its distributions in training.

A distribution of times is its quantile function: uniforms in, times out. So each can be drawn
independently or stratified (one uniform offset, spread evenly over the batch, as in arXiv
2107.00630, appendix I), and each row's time depends on its own uniform only.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.config import tagged
from feller.core.typing import Rng

__all__ = [
    "Beta",
    "LogitNormal",
    "Skewed",
    "TimeDistribution",
    "UShaped",
    "Uniform",
    "each_clock",
    "expand_time",
    "factor_times",
    "has_ended",
    "is_shared",
    "moving_time",
    "stratify",
    "where_moving",
]

Uniforms = Float[Tensor, "*batch"]


def expand_time(t: float | Tensor, x: Tensor) -> Tensor:
    """Give `t` trailing axes until it broadcasts against `x`.

    Args:
        t: A float, or a tensor (of times, or a mask of them) whose axes are the leading axes of `x`
            (each full or 1).
        x: The state.

    Raises:
        ValueError: When the axes of `t` are not leading axes of `x`.

    Example:
        >>> expand_time(torch.zeros(2), torch.zeros(2, 3, 4)).shape
        torch.Size([2, 1, 1])
    """
    if not isinstance(t, Tensor):
        dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
        return torch.full((), t, dtype=dtype, device=x.device)
    fits = t.shape == x.shape[: t.ndim] or (
        t.ndim <= x.ndim and all(a in (1, b) for a, b in zip(t.shape, x.shape, strict=False))
    )
    if not fits:
        raise ValueError(
            f"t has shape {tuple(t.shape)}; its axes are leading axes of x, {tuple(x.shape)}"
        )
    return t.reshape(t.shape + (1,) * (x.ndim - t.ndim))


def factor_times(t: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return the time, or the state, of each factor: `t` is a dict of them, or one for all.

    Example:
        >>> factor_times(0.5, ["position", "token"])
        {'position': 0.5, 'token': 0.5}
    """
    return dict(t) if isinstance(t, Mapping) else dict.fromkeys(names, t)


def each_clock(f: Callable[..., Any], t: Any, *others: Any) -> Any:
    """Return f of times, factor by factor where factors have their own clocks.

    Example:
        >>> each_clock(lambda t, s: s - t, {"token": 0.25}, {"token": 1.0})
        {'token': 0.75}
    """
    if not isinstance(t, Mapping):
        return f(t, *others)
    return {name: f(clock, *(other[name] for other in others)) for name, clock in t.items()}


def is_shared(t: Any) -> bool:
    """Return whether one clock serves the whole batch: a number, not a tensor or a dict of them."""
    return isinstance(t, float) or not isinstance(t, (Tensor, Mapping))  # floats are known at once


def has_ended(t: Any) -> bool:
    """Return whether one clock serves the whole batch, and is at t = 1."""
    return is_shared(t) and t >= 1


def where_moving(h: Tensor, x: Tensor, moved: Tensor) -> Tensor:
    """Return what elements moved to, and `x` where their clock stands still.

    Drift and covariance may be infinite there, at t = 1.

    Args:
        h: How long the step is, as `expand_time` gives it: without axes, one step for all.
        x: The states before the step.
        moved: The states after it.
    """
    return torch.where(h == 0, x, moved) if h.ndim else moved


def moving_time(t: Any) -> Any:
    """Return the time of elements that move; known ones, at t = 1, are put in the middle.

    Where elements have their own clocks, known ones stay where they are and cost nothing; but their
    rates at t = 1 are infinite, and an infinity that is not asked for still has a gradient of NaN.
    """
    if isinstance(t, Tensor) and t.ndim > 1:
        return torch.where(t < 1, t, 0.5)
    return t


def stratify(offset: Float[Tensor, ""], rows: Uniforms, total: int) -> Uniforms:
    """Spread one uniform offset evenly over the rows of a batch, within (0, 1).

    Args:
        offset: One uniform for the whole batch.
        rows: The index of each row in the batch.
        total: The number of rows in the batch.

    Example:
        >>> stratify(torch.tensor(0.5), torch.arange(4.0), 4)
        tensor([0.1250, 0.3750, 0.6250, 0.8750])
    """
    return _inside((rows + offset) / total)


class TimeDistribution(ABC):
    """A distribution of training times on (0, 1)."""

    @abstractmethod
    def quantile(self, u: Uniforms) -> Uniforms:
        """Return the time below which the probability is `u`."""

    def draw(self, u: Uniforms, rng: Rng, z: Any) -> Any:
        """Return the clocks of data points `z`: one time a sample, for all that is in it.

        A distribution whose elements, or factors, have clocks of their own returns others, and may
        draw on `rng`.
        """
        return self.quantile(u)


@tagged("uniform_times")
@dataclass(frozen=True)
class Uniform(TimeDistribution):
    """Uniform times."""

    def quantile(self, u: Uniforms) -> Uniforms:
        """Return `u`."""
        return _inside(u)


@tagged("logit_normal_times")
@dataclass(frozen=True)
class LogitNormal(TimeDistribution):
    """The sigmoid of a normal: the middle of the path more often than its ends.

    Source: Esser et al., arXiv 2403.03206, equation 19.
    """

    mean: float = 0.0  # Mean of the normal, logit(t): above 0 more times are near the data.
    std: float = 1.0  # Standard deviation of the normal, logit(t).

    def quantile(self, u: Uniforms) -> Uniforms:
        """Return sigmoid(mean + std * Phi^-1(u))."""
        return _inside(torch.sigmoid(self.mean + self.std * _normal_quantile(u)))


@tagged("skewed_times")
@dataclass(frozen=True)
class Skewed(TimeDistribution):
    """EDM's log-normal noise levels: t = 1 / (1 + exp(N)), so that sigma / alpha = exp(N).

    Source: Karras et al., arXiv 2206.00364, table 1.
    """

    mean: float = -1.2  # Mean of N, log(sigma / alpha): above 0 more times are near the source.
    std: float = 1.2  # Standard deviation of N, log(sigma / alpha).

    def quantile(self, u: Uniforms) -> Uniforms:
        """Return the sigmoid of minus a normal."""
        return _inside(torch.sigmoid(self.std * _normal_quantile(u) - self.mean))


@tagged("beta_times")
@dataclass(frozen=True)
class Beta(TimeDistribution):
    """Beta(a, b) times; mean a / (a + b)."""

    a: float = 2.0  # First shape parameter: the larger, the more times are near the data.
    b: float = 2.0  # Second shape parameter: the larger, the more times are near the source.

    def quantile(self, u: Uniforms) -> Uniforms:
        """Return the inverse of the regularised incomplete beta function.

        With one shape 1 it is a power, and is taken where `u` is: an accelerator is not waited for.
        """
        if self.b == 1:
            return _inside(u.detach() ** (1 / self.a))
        if self.a == 1:
            return _inside(1 - (1 - u.detach()) ** (1 / self.b))
        if u.is_meta:  # a plan asks for shapes alone
            return torch.empty_like(u)
        from scipy.special import betaincinv

        t = betaincinv(self.a, self.b, u.detach().double().cpu().numpy())
        return _inside(torch.as_tensor(np.asarray(t)).to(u))


@tagged("u_shaped_times")
@dataclass(frozen=True)
class UShaped(TimeDistribution):
    """Density proportional to cosh(a (t - 1/2)): both ends more often than the middle.

    Source: Lee, Lin and Fanti, arXiv 2405.20320, equation 8, for straightened (reflowed) paths.
    """

    a: float = 4.0  # The ends are drawn cosh(a / 2) times as often as the middle.

    def quantile(self, u: Uniforms) -> Uniforms:
        """Invert the distribution function 1/2 + sinh(a (t - 1/2)) / (2 sinh(a/2))."""
        return _inside(0.5 + torch.asinh((2 * u - 1) * math.sinh(self.a / 2)) / self.a)


def _normal_quantile(u: Uniforms) -> Uniforms:
    return torch.special.ndtri(_inside(u))


def _inside(t: Uniforms) -> Uniforms:
    # Rounding reaches exactly 0 and 1, where targets may be infinite.
    tiny = torch.finfo(t.dtype).eps / 2
    return t.clamp(tiny, 1 - tiny)
