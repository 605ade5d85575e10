r"""Parametrizations of a flow on the Gaussian path: velocity, x_1, noise, score.

Given (x, t) each is an affine function of any other, since :math:`x = \alpha x_1 + \sigma n`, the
velocity is :math:`\dot\alpha x_1 + \dot\sigma n` and the score :math:`-n / \sigma`; the same holds
of their posterior means. So what a network predicts and what the loss compares are chosen apart.

Where a coefficient is zero a conversion is infinite: from noise or score at alpha = 0 (so that a
noise-predicting model on CondOT starts after t = 0; VP has no such time), from x_1 at sigma = 0.
"""

from typing import Literal

from torch import Tensor

from feller.core.schedules import Schedule
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["Parametrization", "convert"]

Parametrization = Literal["velocity", "x_1", "noise", "score"]


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
        ValueError: On an unknown name.

    Example:
        >>> import torch
        >>> from feller.core.schedules import CondOT
        >>> convert(torch.tensor([1.0]), ("velocity", "x_1"), CondOT(), torch.tensor([0.5]), 0.5)
        tensor([1.])
    """
    known, asked = pair
    if known == asked:
        return value
    t = expand_time(t, x)
    x_1, noise = _split(value, known, schedule, x, t)
    if asked == "velocity":
        return schedule.alpha_dot(t) * x_1 + schedule.sigma_dot(t) * noise
    if asked == "score":
        return -noise / schedule.sigma(t)
    if asked in ("x_1", "noise"):
        return x_1 if asked == "x_1" else noise
    raise _unknown(asked)


def _split(
    value: Tensor, known: Parametrization, schedule: Schedule, x: Tensor, t: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the data and the noise of which `x` is made."""
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    if known == "velocity":
        alpha_dot, sigma_dot = schedule.alpha_dot(t), schedule.sigma_dot(t)
        wronskian = alpha_dot * sigma - alpha * sigma_dot
        return (
            (sigma * value - sigma_dot * x) / wronskian,
            (alpha_dot * x - alpha * value) / wronskian,
        )
    if known == "x_1":
        return value, (x - alpha * value) / sigma
    if known in ("noise", "score"):
        noise = value if known == "noise" else -sigma * value
        return (x - sigma * noise) / alpha, noise
    raise _unknown(known)


def _unknown(name: str) -> ValueError:
    return ValueError(f"unknown parametrization {name!r}: velocity, x_1, noise or score")
