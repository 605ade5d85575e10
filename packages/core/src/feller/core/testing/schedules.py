"""The contract of schedules: from noise to data, with derivatives that are the functions' own."""

import torch

from feller.core.schedules import Schedule
from feller.core.testing.demands import demand, demand_close

__all__ = ["check_schedule"]


def check_schedule(schedule: Schedule) -> None:
    """Check a schedule.

    alpha rises to 1 and sigma falls; at t = 0 nearly all is noise; `alpha_dot` and `sigma_dot` are
    the derivatives, `remainder` 1 - alpha and `hazard` the fall of its logarithm; times keep their
    shape and dtype; nothing is NaN or infinite before t = 1, in single precision.

    Raises:
        AssertionError: When one of these does not hold.

    Example:
        >>> from feller.core.schedules import Cosine
        >>> check_schedule(Cosine())
    """
    name = type(schedule).__name__
    _check_ends(schedule, name)
    t = torch.linspace(0.02, 0.98, 97, dtype=torch.float64)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    demand(bool((alpha.diff() > 0).all()), f"alpha of {name} does not rise everywhere")
    demand(bool((sigma.diff() < 0).all()), f"sigma of {name} does not fall everywhere")
    h = 1e-6
    for what in ("alpha", "sigma"):
        f, f_dot = getattr(schedule, what), getattr(schedule, f"{what}_dot")(t)
        scale = 1e-5 * float(1 + f_dot.abs().max())
        slope = (f(t + h) - f(t - h)) / (2 * h)
        demand_close(f_dot, slope, f"{what}_dot of {name}", within=scale)
    demand_close(schedule.remainder(t), 1 - alpha, f"remainder of {name}", within=1e-9)
    hazard = schedule.alpha_dot(t) / (1 - alpha)
    demand_close(
        schedule.hazard(t) / hazard, torch.ones_like(t), f"hazard of {name}, relative,", within=1e-6
    )
    _check_shapes(schedule, name)


def _check_ends(schedule: Schedule, name: str) -> None:
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    first, last = float(schedule.alpha(zero)), float(schedule.alpha(one))
    demand(0 <= first <= 0.05, f"alpha of {name} is {first:.4g} at t = 0, not near 0")
    demand(last == 1, f"alpha of {name} is {last!r} at t = 1, not 1")
    noise, left = float(schedule.sigma(zero)), float(schedule.sigma(one))
    demand(abs(noise - 1) <= 0.05, f"sigma of {name} is {noise:.4g} at t = 0, not near 1")
    demand(0 <= left < 1, f"sigma of {name} is {left:.4g} at t = 1, not 0 or a small width")


def _check_shapes(schedule: Schedule, name: str) -> None:
    t = torch.tensor([[[0.0, 0.3, 1 - 1e-6]], [[0.1, 0.5, 0.9]]], dtype=torch.float32)
    for what in ("alpha", "sigma", "alpha_dot", "sigma_dot", "remainder", "hazard"):
        value = getattr(schedule, what)(t)
        demand(value.dtype == t.dtype, f"{what} of {name} is {value.dtype} of float32 times")
        flat = getattr(schedule, what)(t.flatten())
        demand(value.shape == t.shape, f"{what} of {name} has shape {tuple(value.shape)}")
        later = value[t > 0]  # a power of time below 1 rises infinitely fast at 0
        demand(bool(later.isfinite().all()), f"{what} of {name} is not finite before t = 1")
        demand_close(value.flatten(), flat, f"{what} of {name} of another shape", within=0.0)
