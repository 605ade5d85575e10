r"""IGSO(3): the heat kernel of rotations, which is Brownian motion that starts at the centre.

With tau the variance of each axis (Brownian motion of unit speed has tau = time), w the angle and
Haar measure of mass 1,

.. math:: f(w) = \sum_l (2 l + 1) e^{-l (l + 1) \tau / 2} \frac{\sin((l + 1/2) w)}{\sin(w / 2)}.

The last factor is :math:`1 + 2 \sum_{m = 1}^l \cos m w`, so f is a series of cosines, and ten
terms do where tau is large. Where it is small Poisson's summation gives a series of normals wrapped
around the circle (three terms, for tau below 1.44)

.. math:: f(w) = \frac{\sqrt\pi}{2 \sin(w / 2)} (\tau / 2)^{-3/2} e^{\tau / 8} \sum_k (-1)^k (w - 2
    \pi k) e^{-(w - 2 \pi k)^2 / (2 \tau)}.

The heat equation :math:`\partial_\tau f = \frac12 \Delta f` makes the distribution a path: its
radial velocity is :math:`-\frac12 \partial_w \log f` a unit of tau, and mass comes and goes at
:math:`\frac12 \Delta f / f`. Source: Nikolayev and Savyolova, Textures and Microstructures 29,
1997; on the heat equation of rotations, Leach et al., ICLR 2022 workshop on geometrical and
topological representation learning.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.typing import Rng
from feller.proteins.so3.radial import Radial, RadialDistribution

__all__ = ["IGSO3", "log_density", "rise", "sample_angle", "score"]

Angles = Float[Tensor, "*batch"]

_SMALL = 1.44  # tau below which the normals are used: sigma = 1.2
_TERMS = 10
_NEAR = 1e-4  # an angle, over min(1, sigma), at which f is f(0) to the digits of float64


def log_density(w: Angles, tau: Tensor) -> Tensor:
    """Return the log density at an angle, with respect to Haar measure of mass 1.

    Example:
        >>> log_density(torch.tensor([0.0, 1.0, 3.0]), torch.tensor(0.25)).round(decimals=3)
        tensor([  3.7230,   1.7650, -13.8390])
    """

    def near(w: Tensor, tau: Tensor) -> Tensor:
        front = 0.5 * math.log(math.pi) - 1.5 * torch.log(tau / 2) + tau / 8 - w**2 / (2 * tau)
        return front + torch.log(_normals(w, tau)[0] / (2 * torch.sin(w / 2)))

    return _by_size(w, tau, near, lambda w, tau: _cosines(w, tau, 0).log())


def score(w: Angles, tau: Tensor) -> Tensor:
    """Return the slope of the log density in the angle: along the axis, its gradient."""

    def near(w: Tensor, tau: Tensor) -> Tensor:
        sums, slopes, _ = _normals(w, tau)
        return -w / tau + slopes / sums - 0.5 / torch.tan(w / 2)

    def far(w: Tensor, tau: Tensor) -> Tensor:
        return _sines(w, tau) / _cosines(w, tau, 0)

    # It falls to 0 at angle 0 in a straight line.
    return _by_size(w, tau, near, far) * (w / w.clamp_min(_nearest(tau)))


def rise(w: Angles, tau: Tensor) -> Tensor:
    """Return the slope of the log density in tau, half the Laplacian of f over f."""

    def near(w: Tensor, tau: Tensor) -> Tensor:
        sums, _, rises = _normals(w, tau)
        return rises / sums - 1.5 / tau + 0.125 + w**2 / (2 * tau**2)

    return _by_size(w, tau, near, lambda w, tau: _cosines(w, tau, 1) / _cosines(w, tau, 0))


def sample_angle(tau: Tensor, rng: Rng) -> Tensor:
    """Draw an angle at each variance."""
    return IGSO3.quantile(random.uniform(tau.shape, rng, like=tau), tau)


def _nearest(tau: Tensor) -> Tensor:
    return _NEAR * tau.sqrt().clamp_max(1)


def _by_size(w: Tensor, tau: Tensor, near: Radial, far: Radial) -> Tensor:
    """Return one function where tau is small and another where it is not, both in float64."""
    v, wide = w.double().clamp_min(_nearest(tau.double())), tau.double()
    narrow = wide < _SMALL
    if bool(narrow.all()):
        value = near(v, wide)
    elif bool(narrow.any()):
        least, most = wide.clamp_max(_SMALL), wide.clamp_min(_SMALL)
        value = torch.where(narrow, near(v, least), far(v, most))
    else:
        value = far(v, wide)
    return value.to(w.dtype)


def _normals(w: Tensor, tau: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sum of normals over the first one's exponential, and its slopes in w and tau."""
    sums, slopes, rises = w, torch.ones_like(w), torch.zeros_like(w)
    for turn in (-2 * math.pi, 2 * math.pi):
        power = turn * w - turn**2 / 2
        term = -torch.exp(power / tau)
        sums = sums + (w - turn) * term
        slopes = slopes + term * (1 + (w - turn) * turn / tau)
        rises = rises - (w - turn) * term * power / tau**2
    return sums, slopes, rises


def _cosines(w: Tensor, tau: Tensor, slopes: int) -> Tensor:
    """Return the series of ten cosines, or its slope in tau."""
    tails, cosine = _tails(tau, slopes), w.cos()
    first, second = _recur(2 * tails, cosine)
    return tails[..., 0] + cosine * first - second


def _sines(w: Tensor, tau: Tensor) -> Tensor:
    """Return the slope of the series in the angle."""
    order = torch.arange(_TERMS, dtype=w.dtype, device=w.device)
    return w.sin() * _recur(-2 * order * _tails(tau, 0), w.cos())[0]


def _recur(weights: Tensor, cosine: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last two sums of Clenshaw's rule, which stops before the first weight."""
    first, second = torch.zeros_like(cosine), torch.zeros_like(cosine)
    for weight in weights[..., 1:].unbind(-1)[::-1]:
        first, second = weight + 2 * cosine * first - second, first
    return first, second


def _tails(tau: Tensor, slopes: int) -> Tensor:
    """Return the weight of the cosine of m w, which is in every character from l = m on."""
    order = torch.arange(_TERMS, dtype=tau.dtype, device=tau.device)
    power = -order * (order + 1) / 2
    weights = (2 * order + 1) * power**slopes * torch.exp(power * tau[..., None])
    return weights.flip(-1).cumsum(-1).flip(-1)


def _velocity(w: Tensor, tau: Tensor) -> Tensor:
    return -score(w, tau) / 2


def _edge(tau: Tensor) -> Tensor:
    """Return where the Laplacian changes its sign, by bisection: it is negative inside."""
    wide = tau.double()
    low, high = torch.zeros_like(wide), torch.full_like(wide, math.pi)
    for _ in range(50):
        middle = (low + high) / 2
        inside = rise(middle, wide) < 0
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return ((low + high) / 2).to(tau.dtype)


def _reach(tau: Tensor) -> Tensor:
    return (9 * torch.sqrt(tau)).clamp_max(math.pi)


IGSO3 = RadialDistribution(log_density, score, rise, _velocity, _edge, _reach)
"""The family of heat kernels; its parameter is tau, the variance of each axis."""
