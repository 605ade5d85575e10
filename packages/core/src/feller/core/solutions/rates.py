"""The rates of a path: how fast its jumps fire, how far they reach, how they grow over a step.

Intensities diverge at the data: on the CondOT path like 1 / (1 - t). Heads and losses speak of them
in units of the path's own **event rate**, which leaves numbers of order one.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from feller.core.paths import ConditionalPath, GaussianPath, MixturePath
from feller.core.schedules import CondOT

__all__ = ["event_rate", "jump_clock", "jump_support"]


def event_rate(path: ConditionalPath, t: Tensor) -> Tensor:
    """Return the unit of the path's intensities at time `t`, per unit time.

    On the Gaussian path -sigma_dot / sigma, elsewhere the hazard kappa_dot / (1 - kappa).
    """
    if isinstance(path, GaussianPath):
        return -path.schedule.sigma_dot(t) / path.schedule.sigma(t)
    return path.schedule.hazard(t)


def jump_clock(path: ConditionalPath, t: Tensor) -> Callable[[Tensor], Tensor] | None:
    """Return the clock of the path's jumps from time `t`, or None where none is known.

    The clock of a step h is the integral of lambda_s / lambda_t over it: see `Jump`. On the mixture
    path it is exact, -log((1 - kappa_s) / (1 - kappa_t)) over the hazard; on the CondOT path it
    holds k_t(x) fixed (Generator Matching, arXiv 2410.20587, appendix F).
    """
    if isinstance(path, MixturePath):
        return lambda h: _mixture_clock(path, t, h)
    if isinstance(path, GaussianPath) and isinstance(path.schedule, CondOT):
        return lambda h: (1 - t) / 2 * (((1 - t) / (1 - t - h)) ** 2 - 1)
    return None


def _mixture_clock(path: MixturePath, t: Tensor, h: Tensor) -> Tensor:
    left = (1 - path.schedule.alpha(t + h)) / (1 - path.schedule.alpha(t))
    return -left.log() / path.schedule.hazard(t)


@cache
def jump_support(path: ConditionalPath, data: tuple[float, float]) -> tuple[float, float]:
    """Return between which numbers the path's jumps land, for data between two numbers.

    On the Gaussian path a conditional jump lands between the roots of 1 + c u - u^2, which on the
    CondOT path is within 1.618 of data in [-1, 1]; on the mixture path it lands on the data.

    Raises:
        ValueError: When there is no such interval.
    """
    low, high = data
    if not low < high:
        raise ValueError(f"data lie between two rising numbers, not {data}")
    if not isinstance(path, GaussianPath):
        return low, high
    t = torch.linspace(0, 1, 2049, dtype=torch.float64)[:-1]
    alpha, sigma = path.schedule.alpha(t), path.schedule.sigma(t)
    ends = []
    for z, sign in ((low, -1), (high, 1)):
        c = -path.schedule.alpha_dot(t) * z / path.schedule.sigma_dot(t)
        root = (c + sign * torch.sqrt(c**2 + 4)) / 2
        reach = alpha * z + sigma * root
        ends.append(float(reach.min() if sign < 0 else reach.max()))
    if not all(abs(end) < 1e6 for end in ends):
        raise ValueError(
            f"jumps of {path.schedule} reach from {ends[0]:.3g} to {ends[1]:.3g}: no bins span that"
        )
    return ends[0], ends[1]
