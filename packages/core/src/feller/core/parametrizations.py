r"""Parametrizations of a flow on the Gaussian path: velocity, x_1, noise, score, v.

Given (x, t) each is an affine function of any other, since :math:`x = \alpha x_1 + \sigma n`, the
velocity is :math:`\dot\alpha x_1 + \dot\sigma n`, the score :math:`-n / \sigma` and v, that of
progressive distillation (arXiv 2202.00512, section 4), :math:`\alpha n - \sigma x_1`; the same
holds of their posterior means. So what a network predicts and what the loss compares are chosen
apart.

Where a coefficient is zero one may say nothing of another: noise and score say nothing of x_1 at
alpha = 0 (so that a noise-predicting model on CondOT starts after t = 0; VP has no such time), a
velocity says nothing of it where no data move yet, as at t = 0 where alpha = t^2, and x_1 nothing
of the noise at sigma = 0.
"""

from typing import Literal

import torch
from torch import Tensor

from feller.core.checks import check_choice, readable
from feller.core.schedules import Schedule
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["Parametrization", "check_name", "convert"]

Parametrization = Literal["velocity", "x_1", "noise", "score", "v"]


def convert(
    value: Tensor,
    pair: tuple[Parametrization, Parametrization],
    schedule: Schedule,
    x: Tensor,
    t: Time,
) -> Tensor:
    """Turn one parametrization into another.

    Args:
        value: What is known, in the shape of the state.
        pair: The names of what is known and of what is asked.
        schedule: The schedule of the Gaussian path.
        x: The state x_t.
        t: The time.

    Raises:
        ValueError: On an unknown name, and where what is known says nothing of what is asked, as
            far as looking costs nothing (`feller.core.checks`); elsewhere it is NaN.

    Example:
        >>> import torch
        >>> from feller.core.schedules import CondOT
        >>> convert(torch.tensor([1.0]), ("velocity", "x_1"), CondOT(), torch.tensor([0.5]), 0.5)
        tensor([1.])
    """
    known, asked = pair
    if known == asked:
        return value
    check_name(known)
    check_name(asked)
    t = expand_time(t, x)
    x_1, noise, seen = _split(value, known, schedule, x, t)
    if asked == "score":
        return -noise / schedule.sigma(t)
    if asked == "noise":
        return noise
    if readable(seen) and not bool(seen.all()):
        raise ValueError(
            f"at t = {float(t[seen == 0].flatten()[0]):.3g} the {known} on {schedule} says nothing "
            f"of the {asked}: start later, or choose another prediction or schedule"
        )
    if asked == "x_1":
        return x_1
    if asked == "v":
        return schedule.alpha(t) * noise - schedule.sigma(t) * x_1
    return schedule.alpha_dot(t) * x_1 + schedule.sigma_dot(t) * noise


def check_name(name: str) -> None:
    """Reject the name of no parametrization.

    Raises:
        ValueError: On an unknown name.
    """
    check_choice("a parametrization", name, Parametrization)


def _split(
    value: Tensor, known: Parametrization, schedule: Schedule, x: Tensor, t: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the data and the noise of which `x` is made, and what is 0 where data are unknown."""
    if known == "velocity":
        alpha, sigma, alpha_dot, sigma_dot = schedule.coefficients(t)
        wronskian = alpha_dot * sigma - alpha * sigma_dot
        start = (wronskian == 0) & (alpha == 0)  # where all is noise, and no data move yet
        noise = (alpha_dot * x - alpha * value) / torch.where(start, 1.0, wronskian)
        return (
            (sigma * value - sigma_dot * x) / wronskian,
            torch.where(start, x / torch.where(start, sigma, 1.0), noise),
            wronskian,
        )
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    if known == "x_1":
        return value, (x - alpha * value) / sigma, value.new_ones(())
    if known == "v":
        square = alpha**2 + sigma**2
        return (
            (alpha * x - sigma * value) / square,
            (sigma * x + alpha * value) / square,
            value.new_ones(()),
        )
    noise = value if known == "noise" else -sigma * value
    return (x - sigma * noise) / alpha, noise, alpha
