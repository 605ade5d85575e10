r"""MeanFlow: the average velocity from t to s, learnt on the path itself, is a sample in one call.

With :math:`u(x, t, s)\,(s - t)` the way along which the marginal velocity v leads from x at t to s,
the derivative along that way, at fixed s, gives the MeanFlow identity (Geng et al., arXiv
2505.13447, equation 6, with time from source to data)

:math:`u = v + (s - t)\, \frac{d u}{d t}, \qquad \frac{d u}{d t} = \partial_x u \, v + \partial_t u`

The network is trained towards the right hand side, held fixed, with the conditional velocity for v:
at s = t this is flow matching. The right hand side is affine in v, so that its posterior mean is
that of the marginal velocity; a weight that depends on the data point, as one of the error does,
would learn another mean.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from feller.core.checks import check_times
from feller.core.conditions import rows_of
from feller.core.config import tagged
from feller.core.generators import Flow
from feller.core.losses.base import Loss, check_path
from feller.core.models import Model
from feller.core.solutions import solution
from feller.core.solvers.runge_kutta import velocity_of
from feller.core.times import TimeDistribution, Uniform, expand_time

__all__ = ["MeanFlow"]


@tagged("mean_flow")
@dataclass(frozen=True, kw_only=True)
class MeanFlow(Loss):
    """The squared distance of a network of two times to the right hand side of the identity.

    The model has `takes_next` and returns a flow, the average velocity for the step from t to s. It
    is simulated with Euler's method, in as few steps as one. The second time is drawn by the global
    generator of torch, which training seeds at each step, as dropout does.

    Attributes:
        flow_fraction: Fraction of samples with s = t, which flow matching trains.
        later: How much of the way from t to 1 the second time goes, of the other samples.
        own_velocity: Whether the derivative is taken along the model's own velocity u(x, t, t)
            instead of the conditional one: exact if the model is, with much less noise (Geng et
            al., arXiv 2512.02012). It costs one more call.
        distil: Whether its own velocity also replaces the conditional one in the right hand side if
            the two times differ. This removes the noise of the data, but cannot correct a wrong
            velocity: for models that start from trained flows.
        power: The loss is divided by its own `power`-th power, held fixed: 0 trains the mean; above
            0 rare large errors count less, and the model learns a different mean; the paper uses 1.
        offset: Added to the loss in that power.

    Raises:
        ValueError: When a fraction is none, or the power negative.

    Example:
        >>> import torch
        >>> from feller.core.models import GeneratorModel
        >>> from feller.core.paths import GaussianPath
        >>> class Still(torch.nn.Module):
        ...     takes_next = True
        ...
        ...     def forward(self, x, t, condition, s):
        ...         return 0 * x
        >>> model = GeneratorModel(Still(), GaussianPath())
        >>> z, x_t = torch.ones(4, 2), torch.zeros(4, 2)  # the velocity at t = 1/2 is 2
        >>> MeanFlow()(model, model.path, z, torch.full((4,), 0.5), x_t)
        tensor([4., 4., 4., 4.])
    """

    flow_fraction: float = 0.75
    later: TimeDistribution = field(default_factory=Uniform)
    own_velocity: bool = True
    distil: bool = False
    power: float = 0.0
    offset: float = 1e-3

    def __post_init__(self) -> None:
        """Check fractions and powers."""
        if not 0 <= self.flow_fraction <= 1:
            raise ValueError(f"flow_fraction is in [0, 1], not {self.flow_fraction}")
        for name in ("power", "offset"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is finite and at least 0, not {getattr(self, name)}")

    def __call__(
        self,
        model: Model,
        path: Any,
        z: Any,
        t: Any,
        x_t: Tensor,
        *,
        condition: Any = None,
    ) -> Float[Tensor, " b"]:
        """Return the loss of each sample: the mean over its elements.

        Raises:
            ValueError: When the model takes one time only, or elements have times of their own.
        """
        check_times(t)
        check_path(model, path)
        _check_model(model, t)
        s = self._second(t)
        target = velocity_of(solution(path, Flow)(path, x_t, t, z))
        apart = (s > t).nonzero()[:, 0]
        if len(apart):
            at, few = (x_t[apart], t[apart], s[apart]), rows_of(condition, apart)
            velocity, slope = self._slope(model, at, target[apart], few)
            way = expand_time(s - t, x_t)[apart] * slope
            far = (velocity if self.distil else target[apart]) + way
            target = target.index_copy(0, apart, far.to(target.dtype))
        u = velocity_of(model(x_t, t, condition, s=s))  # pyright: ignore[reportCallIssue]
        loss = (u - target).square().flatten(1).mean(1)
        return loss / (loss.detach() + self.offset) ** self.power if self.power else loss

    def _second(self, t: Tensor) -> Tensor:
        """Draw the times at which steps from `t` end."""
        draws = torch.rand(2, len(t), dtype=t.dtype, device=t.device)
        far = self.later.quantile(draws[0]) * (1 - t)
        return torch.where(draws[1] < self.flow_fraction, t, t + far)

    @torch.no_grad()
    def _slope(
        self, model: Any, at: tuple[Tensor, Tensor, Tensor], velocity: Tensor, few: Any
    ) -> tuple[Tensor, Tensor]:
        """Return the velocity that is followed, and du/dt along it at fixed s."""
        x, t, s = at
        if self.own_velocity or self.distil:
            velocity = velocity_of(model(x, t, few, s=t))
        with sdpa_kernel(SDPBackend.MATH):  # the one attention that has forward derivatives
            velocity = velocity.to(x.dtype)
            slope = torch.func.jvp(
                lambda x, t: velocity_of(model(x, t, few, s=s)),
                (x, t),
                (velocity, torch.ones_like(t)),
            )[1]
        return velocity, slope


def _check_model(model: Any, t: Any) -> None:
    """Reject a model of one time, and clocks of elements."""
    if not getattr(getattr(model, "module", model), "takes_next", False):
        raise ValueError(
            "MeanFlow trains a model of two times: its network has takes_next (two_times, for "
            "images)"
        )
    if not isinstance(t, Tensor) or t.ndim != 1:
        raise ValueError("MeanFlow takes one time a sample, of shape (b,)")
