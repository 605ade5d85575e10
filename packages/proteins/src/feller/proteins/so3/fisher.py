r"""The isotropic Fisher distribution on SO(3), of a rotation on the path to a given one.

With w the angle to the centre and Haar measure of mass 1, the density is :math:`p(R) = e^{\nu \cos
w} / (I_0(\nu) - I_1(\nu))`; that of the angle is :math:`h(w) = p (1 - \cos w) / \pi`, and :math:`B
= E[\cos w] = I_1 / (\nu (I_0 - I_1)) - 1`. Concentration 0 is the uniform distribution; at large nu
the angle is about :math:`\sqrt{3 / \nu}`.

Its change with nu has closed forms too, and makes it a path for flows, diffusions and jumps alike:

- :math:`\partial_\nu \log p = \cos w - B`, so a jump leaves where cos w < B and lands, whatever it
  left, with angle density :math:`\propto h(w) [\cos w - B]_+`;
- the radial velocity that carries it is :math:`g(w) = - \int_0^w h (\cos s - B) ds / h(w)` a unit
  of nu.

Source: the von Mises-Fisher matrix distribution with a scalar parameter (Mardia and Jupp,
Directional
Statistics, 2000, section 13.2.3); the rest follows from it by the forward equation, which the tests
hold.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.generators.rows import gauss_points
from feller.core.typing import Rng
from feller.proteins.so3.radial import RadialDistribution

__all__ = [
    "FISHER",
    "log_density",
    "log_normaliser",
    "mean_cosine",
    "radial_velocity",
    "sample_angle",
]

Angles = Float[Tensor, "*batch"]


def log_normaliser(nu: Tensor) -> Tensor:
    """Return log(I_0 - I_1) at concentration nu >= 0, in nats."""
    return nu + _scaled_normaliser(nu.double()).log().to(nu.dtype)


def mean_cosine(nu: Tensor) -> Tensor:
    """Return B = E[cos w], from -1/2 for the uniform distribution to 1.

    Example:
        >>> mean_cosine(torch.tensor([0.0, 10.0, 1000.0])).round(decimals=4)
        tensor([-0.5000,  0.8455,  0.9985])
    """
    wide = nu.double()
    small = wide < 1e-3
    safe = torch.where(small, 1.0, wide)
    ratio = torch.special.i1e(safe) / (safe * _scaled_normaliser(safe))
    near = -0.5 + wide / 4 + wide**2 / 16
    return torch.where(small, near, ratio - 1).to(nu.dtype)


def log_density(w: Angles, nu: Tensor) -> Tensor:
    """Return the log density at an angle, with respect to Haar measure of mass 1."""
    # Written about the peak: nu cos w - nu loses no digits that nu - log(I_0 - I_1) then misses.
    scaled = _scaled_normaliser(nu.double()).log().to(nu.dtype)
    return -2 * nu * torch.sin(w / 2) ** 2 - scaled


def radial_velocity(w: Angles, nu: Tensor) -> Tensor:
    """Return g(w), the speed away from the centre for a unit rise of nu; it is negative.

    The integral is taken from 0, or (it is minus that) from pi, on the side where the integrand
    relative to h(w) is small.
    """
    near = 2 * nu * torch.sin(w / 2) ** 2 < 6
    # Each side at angles of its own alone: elsewhere it may be infinite.
    inner, outer = torch.where(near, w, 0.0), torch.where(near, math.pi, w)
    from_centre = _moment(inner, nu, torch.zeros_like(inner))
    from_outside = _moment(outer, nu, _horizon(outer, nu))
    return -torch.where(near, from_centre, from_outside)


def sample_angle(nu: Tensor, rng: Rng) -> Tensor:
    """Draw an angle at each concentration."""
    return FISHER.quantile(random.uniform(nu.shape, rng, like=nu), nu)


def _scaled_normaliser(nu: Tensor) -> Tensor:
    """Return e^-nu (I_0 - I_1), in float64; by its asymptotic series where I_0 and I_1 cancel."""
    large = nu > 200
    x = torch.where(large, nu, 200.0)
    # (I_0 - I_1) e^-x sqrt(2 pi x) = 1/(2x) + 3/(16 x^2) + 45/(256 x^3) + 525/(2048 x^4) + ...
    series = (1 / (2 * x)) * (
        1 + 3 / (8 * x) + 45 / (128 * x**2) + 525 / (1024 * x**3) + 33075 / (32768 * x**4)
    )
    far = series / torch.sqrt(2 * math.pi * x)
    y = torch.where(large, 1.0, nu)
    return torch.where(large, far, torch.special.i0e(y) - torch.special.i1e(y))


def _horizon(w: Tensor, nu: Tensor) -> Tensor:
    """Return the angle beyond `w` at which the density has fallen by e^-36, at most pi."""
    far = torch.arccos((torch.cos(w) - 36 / nu.clamp_min(1e-3)).clamp_min(-1))
    return far.maximum(w).detach()


def _moment(w: Tensor, nu: Tensor, far: Tensor) -> Tensor:
    """Return the integral of h(s) (cos s - B) from `far` to `w` over h(w)."""
    nodes, weights = gauss_points(48, w)
    # Nodes crowd at w, where the integrand from far away has its mass.
    fraction, slope = nodes**2, 2 * nodes
    span = (far - w)[..., None]
    s = w[..., None] + span * fraction
    sine = torch.sin(w / 2)[..., None]
    wide = torch.where(sine > 0, sine, 1.0)
    fall = torch.exp(-2 * nu[..., None] * (torch.sin(s / 2) ** 2 - sine**2))
    ratio = (torch.sin(s / 2) / wide) ** 2 * fall
    rise = torch.cos(s) - mean_cosine(nu)[..., None]
    return -(span * weights * slope * ratio * rise).sum(-1)


def _score(w: Tensor, nu: Tensor) -> Tensor:
    return -nu * torch.sin(w)


def _rise(w: Tensor, nu: Tensor) -> Tensor:
    return torch.cos(w) - mean_cosine(nu)


def _edge(nu: Tensor) -> Tensor:
    return torch.arccos(mean_cosine(nu).clamp(-1, 1))


def _reach(nu: Tensor) -> Tensor:
    # Where the density has fallen by e^-40.
    narrow = nu > 21
    within = torch.where(narrow, nu, 40.0)
    return torch.where(narrow, 2 * torch.arcsin((20 / within).sqrt()), math.pi)


FISHER = RadialDistribution(log_density, _score, _rise, radial_velocity, _edge, _reach)
"""The family of isotropic Fisher distributions; its parameter is nu."""
