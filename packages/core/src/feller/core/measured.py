r"""Posterior guidance: a flow of data given a linear measurement y = A z + s n of them.

By Bayes' rule the score given y is :math:`\nabla \log p_t(x) + \nabla \log p_t(y | x)`. With the
posterior of the data taken as :math:`N(\hat z(x), r_t I)`, the second term is

:math:`(\partial_x \hat z)^T A^T (r_t A A^T + s^2)^{-1} (y - A \hat z)`

(PiGDM: Song et al., ICLR 2023, equation 7; DPS, Chung et al., arXiv 2209.14687, is
:math:`r_t = 0`). For data that are normal, of one standard deviation d, it is exact with

:math:`r_t = \sigma_t^2 d^2 / (\alpha_t^2 d^2 + \sigma_t^2)`

By Tweedie's formula the guided estimate of the data is :math:`\hat z + g` with
:math:`\sigma_t^2 / \alpha_t` times this term for g, and :math:`\sigma_t^2 / \alpha_t` times
:math:`\partial_x \hat z` is the covariance C of the data given x. So A g shows how far the guess
r I is from C: g is scaled to the solution of :math:`A C A^T + s^2` along its direction, which is
one step of conjugate gradients (Rozet et al., arXiv 2405.13712, algorithm 3), at no call more.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from feller.core.checks import check_times
from feller.core.couplings import check_score
from feller.core.derived import DerivedModel
from feller.core.generators import Flow
from feller.core.generators.base import is_kind
from feller.core.measurements import Measurement
from feller.core.solvers.runge_kutta import velocity_of
from feller.core.times import each_clock, expand_time, is_shared
from feller.core.typing import Time

__all__ = ["Measured"]

_FIRST = 0.01  # at the source no state depends on the data: 0 / 0
_MOST = 20.0  # where a network's covariance is none, a step is not infinite


@dataclass(frozen=True)
class Measured(DerivedModel):
    """A flow model conditioned on a measurement of its data, without training.

    Each call also takes a gradient through the model, which costs about two more calls than NFE
    counts. Before t = 0.01 the guidance is that of t = 0.01.

    Attributes:
        model: A model that returns flows, on a Gaussian path of independent pairs.
        measurement: The linear measurement.
        y: Its outcome, one for all samples or one for each.
        std: Standard deviation of its noise.
        spread: A guess at the standard deviation of the data.

    Raises:
        ValueError: When the model returns something else than flows, or its path is another; when
            `std` is negative or `spread` not positive.

    Example:
        >>> from feller.core.measurements import Pixels
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.posteriors import NormalMixture
        >>> means, one = torch.zeros(1, 2), torch.ones(1)
        >>> model = NormalMixture(GaussianPath(), means, one, one)
        >>> known = Pixels(torch.tensor([True, False]))
        >>> guided = Measured(model, known, torch.tensor([[3.0, 0.0]]))
        >>> guided(torch.zeros(1, 2), 0.5).velocity
        tensor([[6., 0.]])
    """

    model: Any
    measurement: Measurement
    y: Tensor
    std: float = 0.0
    spread: float = 1.0

    def __post_init__(self) -> None:
        """Check that the model estimates the data, and the values."""
        if not all(is_kind(kind, [Flow]) for kind in self.model.kinds):
            names = ", ".join(sorted(kind.__name__ for kind in self.model.kinds))
            raise ValueError(f"a measurement guides flows, but the model returns {names}")
        check_score(self.model, "a measurement")
        if not 0 <= self.std < torch.inf or not 0 < self.spread < torch.inf:
            raise ValueError(
                f"std is at least 0 and spread positive, not {self.std} and {self.spread}"
            )

    def __call__(self, x: Tensor, t: Time, condition: Any = None) -> Flow:
        """Return the flow given the measurement.

        Raises:
            ValueError: Under `torch.inference_mode`.
        """
        if torch.is_inference_mode_enabled():
            raise ValueError("a measurement takes gradients: torch.no_grad, not inference_mode")
        check_times(t)
        t = each_clock(lambda t: max(t, _FIRST) if is_shared(t) else t.clamp_min(_FIRST), t)
        clock, schedule = expand_time(t, x), self.path.schedule
        alpha, variance = schedule.alpha(clock), schedule.sigma(clock) ** 2
        r = variance * self.spread**2 / (alpha**2 * self.spread**2 + variance)
        with torch.enable_grad():
            state = x.detach().requires_grad_()
            velocity = velocity_of(self.model(state, t, condition))
            estimate = self.path.convert(velocity, "velocity", "x_1", state, t)
            seen = self.measurement(estimate)
            residual = self.measurement.residual(self.y, seen.detach())
            weighed = self.measurement.solve(residual, r, self.std**2)
            term = torch.autograd.grad((seen * weighed).sum(), state)[0]
        way = variance / alpha * term
        explained = _dot(weighed, self.measurement(way)) + self.std**2 * _dot(weighed, weighed)
        asked = _dot(weighed, residual)
        scale = asked / explained.clamp_min(asked / _MOST).clamp_min(torch.finfo(x.dtype).tiny)
        guided = estimate.detach() + expand_time(scale, way) * way
        return Flow(self.path.convert(guided, "x_1", "velocity", x, t))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product of each sample."""
    return (a * b).flatten(1).sum(1)
