"""The rates of a path: how fast its jumps fire, how far they reach, how they grow over a step.

Intensities diverge at the data: on the CondOT path like 1 / (1 - t). Heads and losses speak of them
in units of the path's own **event rate**, which leaves numbers of order one.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from feller.core.checks import check_range
from feller.core.generators.by_kind import ByKind
from feller.core.paths import ConditionalPath, GaussianPath, GeometricPath, MixturePath
from feller.core.solutions.averages import refuse_vectors

__all__ = [
    "CumulativeHazard",
    "check_reach",
    "check_values",
    "cumulative_hazard",
    "cumulative_of",
    "event_rate",
    "jump_frame",
    "jump_support",
    "mixing_rate",
]

CumulativeHazard = Callable[[Tensor], Tensor]
"""From a time h to the integral of lambda_s / lambda_t over a step of h: see `Jump`."""

_FAR = 5.5  # deviations beyond which less than a millionth of a jump lands
_FARTHEST = 6.5  # deviations beyond which no draw of noise is found
_TINY = 1e-30  # in place of a rate of 0, which no cumulative hazard could make up for later


def event_rate(path: ConditionalPath, t: Tensor) -> Tensor:
    """Return the unit of the path's intensities at time `t`, per unit time.

    On the Gaussian path the larger of -sigma_dot / sigma and alpha_dot / sigma, which on CondOT are
    one; on the others the rate at which an element goes to its data value.
    """
    return (_EVENTS.find(type(path)) or mixing_rate)(path, t)


def mixing_rate(path: ConditionalPath, t: Tensor) -> Tensor:
    """Return the rate at which an element goes to its data value: the hazard of the path."""
    rate = _MIXING.find(type(path))
    return (path.schedule.hazard(t) if rate is None else rate(path, t)).clamp_min(_TINY)


def cumulative_hazard(path: ConditionalPath, t: Tensor) -> CumulativeHazard | None:
    """Return the cumulative hazard of the path's jumps from time `t`, or None where none is known.

    It is in units of the present intensity: the integral of lambda_s / lambda_t over a step h. On
    the mixture and geometric paths it is exact, whatever the data. On the Gaussian path it holds
    k_t(x), the distance to the data, fixed: exactly so on CondOT (Generator Matching, arXiv
    2410.20587, appendix F), where intensities then grow like sigma^-3. A conditional jump has one
    of its own, exact on any schedule: see `gaussian_jump`.
    """
    found = _HAZARDS.find(type(path))
    return None if found is None else found(path, t)


_EVENTS, _MIXING, _HAZARDS = ByKind(), ByKind(), ByKind()


@_EVENTS.register(GaussianPath)
def _gaussian_events(path: GaussianPath, t: Tensor) -> Tensor:
    fall = torch.maximum(-path.schedule.sigma_dot(t), path.schedule.alpha_dot(t))
    return (fall / path.schedule.sigma(t)).clamp_min(_TINY)


@_MIXING.register(GeometricPath)
def _geometric_mixing(path: GeometricPath, t: Tensor) -> Tensor:
    return path.log_odds_dot(t) * torch.sigmoid(path.log_odds(t))


@_HAZARDS.register(MixturePath)
def _mixture_hazard(path: MixturePath, t: Tensor) -> CumulativeHazard:
    left = path.schedule.remainder
    return cumulative_of(mixing_rate(path, t), lambda h: (left(t) / left(t + h)).log())


@_HAZARDS.register(GeometricPath)
def _geometric_hazard(path: GeometricPath, t: Tensor) -> CumulativeHazard:
    grown, odds = torch.nn.functional.softplus, path.log_odds
    return cumulative_of(mixing_rate(path, t), lambda h: grown(odds(t + h)) - grown(odds(t)))


@_HAZARDS.register(GaussianPath)
def _held_hazard(path: GaussianPath, t: Tensor) -> CumulativeHazard:
    return lambda h: _gaussian_hazard(path, t, h)


def cumulative_of(intensity: Tensor, loss: CumulativeHazard) -> CumulativeHazard:
    """Return the cumulative hazard of an intensity from `loss`, the integral of lambda_s over h."""

    def cumulative(h: Tensor) -> Tensor:
        fires = intensity > 0
        return torch.where(fires, loss(h).clamp_min(0) / torch.where(fires, intensity, 1.0), h)

    return cumulative


def _gaussian_hazard(path: GaussianPath, t: Tensor, h: Tensor) -> Tensor:
    sigma, sigma_s = path.schedule.sigma(t), path.schedule.sigma(t + h)
    fall = -path.schedule.sigma_dot(t) / sigma
    # Near the source the mean may move faster than the noise falls; that part hardly grows.
    drift = (path.schedule.alpha_dot(t) / sigma - fall).clamp_min(0)
    shrunk = ((sigma - sigma_s) / sigma_s) * ((sigma + sigma_s) / sigma_s)
    return (shrunk / 2 + drift * h) / (fall + drift).clamp_min(_TINY)


@cache
def jump_support(path: ConditionalPath, data: tuple[float, float]) -> tuple[float, float]:
    """Return between which numbers the path's jumps land, for data between two numbers.

    On the Gaussian path a conditional jump lands between the roots of 1 + c u - u^2, which on the
    CondOT path is within 1.618 of data in [-1, 1]; where a root is more than 5.5 deviations out,
    what is beyond is less than a millionth and left out. On the mixture path a jump lands on the
    data.

    Raises:
        ValueError: When data do not lie between two rising numbers, or not in the space.
    """
    check_reach(path, data)
    reach = _REACH.find(type(path))
    return data if reach is None else reach(path, data)


_REACH = ByKind()


@_REACH.register(GaussianPath)
def _gaussian_reach(path: GaussianPath, data: tuple[float, float]) -> tuple[float, float]:
    low, high = data
    t = torch.linspace(0, 1, 2049, dtype=torch.float64, device="cpu")[:-1]
    t = torch.cat([t.new_tensor([1e-12]), t])  # at 0 itself a schedule may have an infinite speed
    alpha, sigma = path.schedule.alpha(t), path.schedule.sigma(t)
    ends = []
    for z, sign in ((low, -1), (high, 1)):
        reach = sign * alpha * z + sigma * _outer_root(path, t, sign * z)
        ends.append(sign * float(reach[reach.isfinite()].max()))
    return ends[0], ends[1]


def _outer_root(path: GaussianPath, t: Tensor, z: float) -> Tensor:
    """Return how far outwards a jump lands that belongs to data at `z`, in deviations."""
    c = path.schedule.alpha_dot(t) * z / (-path.schedule.sigma_dot(t)).clamp_min(_TINY)
    c = c.clamp(-1e6, 1e6)
    return ((c + torch.sqrt(c**2 + 4)) / 2).clamp_max(_FAR)


def jump_frame(
    path: ConditionalPath, data: tuple[float, float], x: Tensor, t: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the middle, and the half-width, of where jumps from `x` land at time `t`.

    On the Gaussian path the middle is alpha times the mean of z given x, of data that are normal
    with the middle and the half-width of `data`: that of the data at t = 0, x at t = 1. The
    half-width holds jumps of all data in `data` whose noise is below 6.5 deviations, and shrinks
    like sigma. On other paths both are those of `jump_support`.

    Raises:
        ValueError: When data do not lie between two rising numbers, or not in the space.
    """
    check_reach(path, data)
    frame = _FRAMES.find(type(path))
    if frame is not None:
        return frame(path, data, x, t)
    low, high = jump_support(path, data)
    return torch.full_like(x, (low + high) / 2), torch.full_like(x, (high - low) / 2)


_FRAMES = ByKind()


@_FRAMES.register(GaussianPath)
def _gaussian_frame(
    path: GaussianPath, data: tuple[float, float], x: Tensor, t: Tensor
) -> tuple[Tensor, Tensor]:
    alpha, sigma = path.schedule.alpha(t), path.schedule.sigma(t)
    middle, half = (data[0] + data[1]) / 2, (data[1] - data[0]) / 2
    known = (alpha * half) ** 2 / ((alpha * half) ** 2 + sigma**2)  # 1 where x determines z
    root = _outer_root(path, t, max(map(abs, data)))
    width = (1 - known) * alpha * half + sigma * (root + _FARTHEST * known)
    origin = alpha * middle + known * (x - alpha * middle)
    return origin, width.expand_as(origin)


def check_reach(path: ConditionalPath, data: tuple[float, float]) -> None:
    """Reject data that are not between two numbers of the space.

    Raises:
        ValueError: When they do not rise, or leave an interval.
    """
    check_range(data)
    ends = path.space.ends
    if ends is not None and not ends[0] <= data[0] < data[1] <= ends[1]:
        raise ValueError(f"data lie in {path.space}, not between {data[0]} and {data[1]}")


def check_values(path: ConditionalPath, levels: int, data: tuple[float, float]) -> None:
    """Reject values of which some are not in the space: tokens, or numbers between two ends.

    Raises:
        LookupError: Where an element is a vector.
        ValueError: When there are more levels than tokens, or the data leave the space.
    """
    refuse_vectors(path)
    space: Any = path.space
    if not space.is_discrete:
        check_reach(path, data)
    elif levels > space.size:
        raise ValueError(f"levels are at most the {space.size} of {space}, not {levels}")
