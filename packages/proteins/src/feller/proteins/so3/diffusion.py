r"""Diffusion of rotations: drift and noise in the axes of the frame.

:math:`\mathcal{L} f = \nabla f \cdot b + \frac12 g^2 \Delta f`, with :math:`\Delta = \sum_i E_i^2`
the Laplacian and :math:`E_i f(R) = \frac{d}{dh} f(R \exp(h \hat e_i))`. The noise has the same
strength along every axis, so it does not matter in whose axes it is drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from feller.core import random
from feller.core.generators import Generator
from feller.core.generators.weights import fit_weight
from feller.core.spaces import StateSpace
from feller.core.times import expand_time
from feller.core.typing import Rng, Time
from feller.proteins.so3.rotations import Rotations, exp, hat, relative, vee

__all__ = ["RotationDiffusion"]


@dataclass(frozen=True)
class RotationDiffusion(Generator):
    """Motion of rotations along a drift, with noise.

    Attributes:
        drift: Tangents in the shape of the state, R hat(v), per unit time.
        variance: g^2 of each rotation, in rad^2 per unit time, at least 0.

    Example:
        >>> x = torch.eye(3).expand(1, 1, 3, 3)
        >>> noise = RotationDiffusion(torch.zeros_like(x), torch.ones(1, 1))
        >>> noise.apply(lambda x: x[:, 0].diagonal(dim1=-2, dim2=-1).sum(-1), x)  # the trace
        tensor([-3.])
    """

    drift: Tensor
    variance: Tensor

    def apply(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return the derivative of `f` along the drift, and half the weighted Laplacian."""
        first = torch.func.jvp(f, (x,), (self.drift,))[1]
        variance = self.variance.expand(x.shape[:-2])
        count = variance[0].numel()
        units = torch.eye(3 * count, dtype=x.dtype, device=x.device)
        second = []
        for i, unit in enumerate(units.view(3 * count, *x.shape[1:-2], 3)):
            bend = _second_derivative(f, x, unit.expand(*x.shape[:-1]))
            second.append(bend * variance.flatten(1)[:, i // 3])
        return first + 0.5 * torch.stack(second).sum(0)

    def step(self, space: StateSpace, x: Tensor, h: Time, rng: Rng) -> Tensor:
        """Turn each frame by h times its drift, plus noise: a geodesic random walk.

        Raises:
            ValueError: On a space that is not one of rotations.
        """
        if not isinstance(space, Rotations):
            raise ValueError(f"a diffusion of rotations moves on Rotations, not on {space}")
        noise = random.normal(x.shape[:-1], rng, like=x)
        h = expand_time(h, x[..., 0, 0])[..., None]
        spread = (h[..., 0] * self.variance).sqrt()[..., None]
        turn = h * vee(relative(x, self.drift)) + spread * noise
        # Where a clock stands still, at t = 1, the drift may be infinite.
        return torch.where(h[..., None] == 0, x, x @ exp(turn))

    def scaled(self, weight: float | Tensor) -> "RotationDiffusion":
        """Return the generator at a multiple of its rate; a tensor broadcasts against states."""
        variance = self.variance.expand(self.drift.shape[:-2])
        drift = fit_weight(weight, self.drift) * self.drift
        return RotationDiffusion(drift, fit_weight(weight, variance) * variance)

    def average(self, weights: Tensor) -> "RotationDiffusion":
        """Return the diffusion of the mean drift and the mean variance."""
        variance = self.variance.expand(self.drift.shape[:-2])
        drift = (expand_time(weights, self.drift) * self.drift).sum(1)
        return RotationDiffusion(drift, (expand_time(weights, variance) * variance).sum(1))


def _second_derivative(f: Callable[[Tensor], Tensor], x: Tensor, v: Tensor) -> Tensor:
    """Return the second derivative of `f` along the geodesics of body vectors `v`.

    R exp(h hat(v)) is R (1 + h hat(v) + h^2 hat(v)^2 / 2) to second order.
    """
    turn = hat(v)
    zero = torch.zeros((), dtype=x.dtype, device=x.device)

    def along(h: Tensor) -> Tensor:
        return f(
            x @ (torch.eye(3, dtype=x.dtype, device=x.device) + h * turn + h**2 / 2 * turn @ turn)
        )

    def slope(h: Tensor) -> Tensor:
        return torch.func.jvp(along, (h,), (torch.ones_like(h),))[1]

    return torch.func.jvp(slope, (zero,), (torch.ones_like(zero),))[1]
