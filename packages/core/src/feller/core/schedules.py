r"""Schedules: how much data and how much noise a path holds at each time.

On a Gaussian path :math:`x_t = \alpha_t z + \sigma_t x_0`. On mixture and geodesic paths only one
number counts, the mixing weight :math:`\kappa_t = \alpha_t`, which must run from 0 to 1; its hazard
is :math:`\dot\kappa_t / (1 - \kappa_t)`.

Time runs from t = 0 (source) to t = 1 (data). Dots are time derivatives.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import pi

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.config import tagged

__all__ = [
    "CondOT",
    "Cosine",
    "Geometric",
    "Polynomial",
    "Schedule",
    "VariancePreserving",
    "check_mixing",
    "derivative",
]

Times = Float[Tensor, "*time"]


def derivative(f: Callable[[Tensor], Tensor], t: Times) -> Times:
    """Return f'(t), elementwise, by forward-mode differentiation.

    Example:
        >>> derivative(torch.sin, torch.zeros(2))
        tensor([1., 1.])
    """
    t = t.contiguous()  # an expanded time has no tangent of its own
    return torch.func.jvp(f, (t,), (torch.ones_like(t),))[1]


def check_mixing(schedule: "Schedule") -> None:
    """Reject a schedule whose alpha is not a mixing weight.

    Raises:
        ValueError: When alpha is not 0 at t = 0.
    """
    start = float(schedule.alpha(torch.zeros((), device="cpu")))
    if start != 0:
        raise ValueError(
            f"a mixing weight starts at 0, that of {type(schedule).__name__} at {start:.3g}: "
            "choose CondOT, Polynomial, Cosine or Geometric"
        )


class Schedule(ABC):
    """A data coefficient and a noise coefficient as functions of time.

    A new schedule defines `alpha` and `sigma`; the derivatives follow. A schedule may give them in
    closed form instead, where that is faster or keeps digits: the contract test holds both against
    each other.
    """

    @abstractmethod
    def alpha(self, t: Times) -> Times:
        """Return the data coefficient, rising to 1 at t = 1."""

    @abstractmethod
    def sigma(self, t: Times) -> Times:
        """Return the noise coefficient, falling from 1 to 0 (`Geometric`: to its width)."""

    def alpha_dot(self, t: Times) -> Times:
        """Return the time derivative of `alpha`."""
        return derivative(self.alpha, t)

    def sigma_dot(self, t: Times) -> Times:
        """Return the time derivative of `sigma`."""
        return derivative(self.sigma, t)

    def coefficients(self, t: Times) -> tuple[Times, Times, Times, Times]:
        """Return alpha, sigma, alpha_dot and sigma_dot at once, what they share made once."""
        return self.alpha(t), self.sigma(t), self.alpha_dot(t), self.sigma_dot(t)

    def remainder(self, t: Times) -> Times:
        """Return 1 - kappa with kappa = alpha; without cancellation, where a schedule says how."""
        return 1 - self.alpha(t)

    def hazard(self, t: Times) -> Times:
        """Return kappa_dot / (1 - kappa) with kappa = alpha, per unit time; infinite at t = 1."""
        return self.alpha_dot(t) / self.remainder(t)


@tagged("condot")
@dataclass(frozen=True)
class CondOT(Schedule):
    """Conditional optimal transport, or rectified flow: alpha = t, sigma = 1 - t.

    Source: Lipman et al., arXiv 2210.02747, example II.
    """

    def alpha(self, t: Times) -> Times:
        """Return t."""
        return t

    def sigma(self, t: Times) -> Times:
        """Return 1 - t."""
        return 1 - t

    def alpha_dot(self, t: Times) -> Times:
        """Return 1."""
        return torch.ones_like(t)

    def sigma_dot(self, t: Times) -> Times:
        """Return -1."""
        return -torch.ones_like(t)


@tagged("polynomial")
@dataclass(frozen=True)
class Polynomial(Schedule):
    """Powers of time: alpha = t^n, sigma = 1 - t^n, n > 0."""

    power: float = 2.0

    def __post_init__(self) -> None:
        """Check that the power is positive."""
        if self.power <= 0:
            raise ValueError(f"power is positive, not {self.power}")

    def alpha(self, t: Times) -> Times:
        """Return t^n."""
        return t**self.power

    def sigma(self, t: Times) -> Times:
        """Return 1 - t^n, without cancellation near t = 1."""
        return -torch.expm1(self.power * t.log())

    def remainder(self, t: Times) -> Times:
        """Return 1 - t^n."""
        return self.sigma(t)

    def alpha_dot(self, t: Times) -> Times:
        """Return n t^(n - 1)."""
        return self.power * t ** (self.power - 1)

    def sigma_dot(self, t: Times) -> Times:
        """Return -n t^(n - 1)."""
        return -self.alpha_dot(t)


@tagged("cosine")
@dataclass(frozen=True)
class Cosine(Schedule):
    """A quarter turn: alpha = sin(pi t / 2), sigma = cos(pi t / 2).

    Source: Nichol and Dhariwal, arXiv 2102.09672, without their offset; Albergo and Vanden-Eijnden,
    arXiv 2209.15571.
    """

    def alpha(self, t: Times) -> Times:
        """Return sin(pi t / 2)."""
        return torch.sin(pi / 2 * t)

    def sigma(self, t: Times) -> Times:
        """Return cos(pi t / 2), as a sine that is exactly 0 at t = 1."""
        return torch.sin(pi / 2 * (1 - t))

    def alpha_dot(self, t: Times) -> Times:
        """Return pi / 2 cos(pi t / 2)."""
        return pi / 2 * self.sigma(t)

    def sigma_dot(self, t: Times) -> Times:
        """Return -pi / 2 sin(pi t / 2)."""
        return -pi / 2 * self.alpha(t)

    def coefficients(self, t: Times) -> tuple[Times, Times, Times, Times]:
        """Return all four from one sine each of t and of 1 - t."""
        alpha, sigma = self.alpha(t), self.sigma(t)
        return alpha, sigma, pi / 2 * sigma, -pi / 2 * alpha

    def remainder(self, t: Times) -> Times:
        """Return 1 - sin(pi t / 2) as twice the square of a sine."""
        return 2 * torch.sin(pi / 4 * (1 - t)) ** 2


@tagged("variance_preserving")
@dataclass(frozen=True)
class VariancePreserving(Schedule):
    r"""The variance-preserving diffusion with a linear beta: DDPM in continuous time.

    With r = 1 - t, :math:`\alpha = \exp(-\frac{r^2}{4}(\beta_1 - \beta_0) - \frac{r}{2}\beta_0)`
    and :math:`\sigma = \sqrt{1 - \alpha^2}`. alpha is small, not zero, at t = 0.

    Source: Song et al., arXiv 2011.13456, equation 33.

    Attributes:
        beta_0: Noise rate at the data end.
        beta_1: Noise rate at the source end.
    """

    beta_0: float = 0.1
    beta_1: float = 20.0

    def alpha(self, t: Times) -> Times:
        """Return the data coefficient."""
        return torch.exp(self._log_alpha(t))

    def sigma(self, t: Times) -> Times:
        """Return sqrt(1 - alpha^2) without cancellation near t = 1."""
        return torch.sqrt(-torch.expm1(2 * self._log_alpha(t)))

    def alpha_dot(self, t: Times) -> Times:
        """Return alpha times half the noise rate."""
        rate = self.beta_0 + (1 - t) * (self.beta_1 - self.beta_0)
        return self.alpha(t) * rate / 2

    def sigma_dot(self, t: Times) -> Times:
        """Return -alpha alpha_dot / sigma, minus infinity at t = 1."""
        return -self.alpha(t) * self.alpha_dot(t) / self.sigma(t)

    def remainder(self, t: Times) -> Times:
        """Return 1 - alpha without cancellation near t = 1."""
        return -torch.expm1(self._log_alpha(t))

    def _log_alpha(self, t: Times) -> Times:
        r = 1 - t
        return -r * (r * (self.beta_1 - self.beta_0) / 4 + self.beta_0 / 2)


@tagged("geometric")
@dataclass(frozen=True)
class Geometric(Schedule):
    r"""The geometric average of a standard normal and a normal of width w about the data.

    p_t is proportional to :math:`N(0, 1)^{1 - t} N(z, w^2)^t`: with :math:`D = t + w^2 (1 - t)` a
    normal of mean :math:`t z / D` and deviation :math:`w / \sqrt{D}`. It ends at the width, not at
    zero: what is drawn at t = 1 is the data with noise of that deviation. Source: Generator
    Matching, arXiv 2410.20587, section 3.1.

    Attributes:
        width: The deviation w at t = 1, between 0 and 1.
    """

    width: float = 0.1

    def __post_init__(self) -> None:
        """Reject a width with which noise does not fall."""
        if not 0 < self.width < 1:
            raise ValueError(f"width is between 0 and 1, both excluded, not {self.width}")

    def alpha(self, t: Times) -> Times:
        """Return t / D."""
        return t / self._d(t)

    def sigma(self, t: Times) -> Times:
        """Return w / sqrt(D)."""
        return self.width / self._d(t).sqrt()

    def alpha_dot(self, t: Times) -> Times:
        """Return w^2 / D^2."""
        return (self.width / self._d(t)) ** 2

    def sigma_dot(self, t: Times) -> Times:
        """Return -w (1 - w^2) / (2 D^(3/2))."""
        return -self.width * (1 - self.width**2) / 2 / self._d(t) ** 1.5

    def remainder(self, t: Times) -> Times:
        """Return w^2 (1 - t) / D."""
        return self.width**2 * (1 - t) / self._d(t)

    def _d(self, t: Times) -> Times:
        return t + self.width**2 * (1 - t)
