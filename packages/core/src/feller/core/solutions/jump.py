"""Jumps that solve a path.

For any density path the jump of least rate leaves where mass falls and lands where it grows:
intensity [d/dt log p]_-, destination proportional to [d/dt p]_+ (Generator Matching, arXiv
2410.20587, section 4.2). Backward in time mass falls where it grew, so the signs swap.
"""

import torch
from torch import Tensor

from feller.core.generators import (
    Categorical,
    FromSource,
    Jump,
    NormalTails,
    Point,
    RatioOfNormals,
)
from feller.core.paths import GaussianPath, GeometricPath, MixturePath
from feller.core.solutions.rates import cumulative_hazard, cumulative_of, mixing_rate
from feller.core.solutions.table import solves
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = [
    "gaussian_jump",
    "gaussian_jump_backward",
    "geometric_jump",
    "geometric_jump_backward",
    "mixture_jump",
    "mixture_jump_backward",
]


@solves(GaussianPath, Jump)
def gaussian_jump(path: GaussianPath, x: Tensor, t: Time, z: Tensor) -> Jump:
    r"""Return intensity :math:`a [u^2 - c u - 1]_+` of each coordinate, and where it lands.

    With u = (x - alpha z) / sigma, a = -sigma_dot / sigma, c = -alpha_dot z / sigma_dot. On CondOT
    it is the paper's k_t(x) / (1 - t)^3 (arXiv 2410.20587, appendix E.7). A coordinate stays where
    it is on [t, s] with probability p_s(x | z) / p_t(x | z), exactly where the density falls all
    along; on CondOT it then does.
    """
    t = expand_time(t, x)
    intensity = gaussian_fall(path, x, t, z).clamp_min(0)
    cumulative = cumulative_of(intensity, lambda h: _gaussian_loss(path, x, (t, t + h), z))
    return Jump(intensity, RatioOfNormals(*gaussian_shape(path, t, z)), cumulative)


@solves(GaussianPath, Jump, backward=True)
def gaussian_jump_backward(path: GaussianPath, x: Tensor, t: Time, z: Tensor) -> Jump:
    r"""Return intensity :math:`a [1 + c u - u^2]_+`, and the tails outside the roots."""
    t = expand_time(t, x)
    intensity = (-gaussian_fall(path, x, t, z)).clamp_min(0)
    return Jump(intensity, NormalTails(*gaussian_shape(path, t, z)))


def gaussian_fall(path: GaussianPath, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
    r"""Return :math:`-\partial_t \log p_t(x | z) = a (u^2 - 1) - (\dot\alpha z / \sigma) u`.

    So written it is finite where sigma_dot is 0, where a c is not a times a number.
    """
    path.check_source("a jump of the Gaussian path")
    schedule, sigma = path.schedule, path.schedule.sigma(t)
    u = (x - schedule.alpha(t) * z) / sigma
    return -schedule.sigma_dot(t) / sigma * (u**2 - 1) - schedule.alpha_dot(t) / sigma * z * u


def gaussian_shape(path: GaussianPath, t: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean, the scale and the c of where jumps land."""
    schedule, tiny = path.schedule, 1e-30
    c = schedule.alpha_dot(t) * z / (-schedule.sigma_dot(t)).clamp_min(tiny)
    # Beyond a million the distribution is that of infinity, to the digits of float32.
    return schedule.alpha(t) * z, schedule.sigma(t), c.clamp(-1e6, 1e6)


def _gaussian_loss(
    path: GaussianPath, x: Tensor, times: tuple[Tensor, Tensor], z: Tensor
) -> Tensor:
    """Return log p_t(x | z) - log p_s(x | z), infinite where p_s has no width."""
    (mean_t, sigma_t), (mean_s, sigma_s) = (
        (path.schedule.alpha(t) * z, path.schedule.sigma(t)) for t in times
    )
    u_t, u_s = (x - mean_t) / sigma_t, (x - mean_s) / sigma_s
    loss = (u_s - u_t) * (u_s + u_t) / 2 + (sigma_s / sigma_t).log()
    return torch.where(sigma_s > 0, loss, torch.inf)


@solves(MixturePath, Jump)
def mixture_jump(path: MixturePath, x: Tensor, t: Time, z: Tensor) -> Jump:
    r"""Return a jump to z at hazard :math:`\dot\kappa / (1 - \kappa)`; elements that are at z stay.

    The probability of an event on [t, s] is exactly 1 - (1 - kappa_s) / (1 - kappa_t).
    """
    away, z, t = apart(path, x, t, z)
    return Jump(torch.where(away, mixing_rate(path, t), 0.0), Point(z), cumulative_hazard(path, t))


@solves(MixturePath, Jump, backward=True)
def mixture_jump_backward(path: MixturePath, x: Tensor, t: Time, z: Tensor) -> Jump:
    r"""Return a jump from z to a draw of p_0 at :math:`\dot\kappa / p_t(z | z)`.

    On a continuous space p_t(z | z) is kappa, on tokens kappa + (1 - kappa) p_0(z). The probability
    of an event on [t, s] is exact.
    """
    away, z, t = apart(path, x, t, z)
    at_z = mass_at_data(path, t, z)
    intensity = torch.where(away, 0.0, path.schedule.alpha_dot(t) / at_z)
    strays = 1 - source_mass(path, z)

    def loss(h: Tensor) -> Tensor:
        return (mass_at_data(path, t + h, z) / at_z).log() / strays.clamp_min(1e-30)

    return Jump(intensity, FromSource(path.source, z), cumulative_of(intensity, loss))


@solves(GeometricPath, Jump)
def geometric_jump(path: GeometricPath, x: Tensor, t: Time, z: Tensor) -> Jump:
    r"""Return a jump to z at :math:`-\partial_t \log (1 - p_t(z | z))`: all other tokens lose."""
    away, z, t = apart(path, x, t, z)
    return Jump(torch.where(away, mixing_rate(path, t), 0.0), Point(z), cumulative_hazard(path, t))


@solves(GeometricPath, Jump, backward=True)
def geometric_jump_backward(path: GeometricPath, x: Tensor, t: Time, z: Tensor) -> Jump:
    r"""Return a jump from z to any other token at :math:`\partial_t \log p_t(z | z)`."""
    away, z, t = apart(path, x, t, z)
    intensity = torch.where(away, 0.0, path.log_odds_dot(t) * torch.sigmoid(-path.log_odds(t)))
    others = torch.zeros(*z.shape, path.space.size, device=z.device)
    others = others.scatter(-1, z[..., None], -torch.inf)

    def loss(h: Tensor) -> Tensor:
        now, then = (torch.nn.functional.logsigmoid(path.log_odds(s)) for s in (t, t + h))
        return then - now

    return Jump(intensity, Categorical(others), cumulative_of(intensity, loss))


def apart(
    path: MixturePath | GeometricPath, x: Tensor, t: Time, z: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return which elements are not at their data value, and z and t in their shapes."""
    z = z.expand(torch.broadcast_shapes(x.shape, z.shape))
    elements = z.shape[: z.ndim - path.space.element_dim]
    away = (x != z).flatten(len(elements)).any(-1) if path.space.element_dim else x != z
    return away, z, expand_time(t, torch.empty(elements, device=x.device))


def source_mass(path: MixturePath, z: Tensor) -> Tensor:
    """Return p_0({z}), which is 0 on a continuous space."""
    log_density = path.source.log_density(z)
    return log_density.exp() if path.space.is_discrete else torch.zeros_like(log_density)


def mass_at_data(path: MixturePath, t: Tensor, z: Tensor) -> Tensor:
    """Return p_t({z} | z)."""
    kappa = path.schedule.alpha(t)
    return kappa + (1 - kappa) * source_mass(path, z)
