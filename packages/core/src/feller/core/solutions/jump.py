"""Jumps that solve a path.

For any density path the jump of least rate leaves where mass falls and lands where it grows:
intensity [d/dt log p]_-, destination proportional to [d/dt p]_+ (Generator Matching, arXiv
2410.20587, section 4.2).
"""

import torch
from torch import Tensor

from feller.core.generators.destinations import Point, RatioOfNormals
from feller.core.generators.jump import Jump
from feller.core.paths import GaussianPath, MixturePath
from feller.core.solutions.rates import jump_clock
from feller.core.solutions.table import solves
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["gaussian_jump", "mixture_jump"]


@solves(GaussianPath, Jump)
def gaussian_jump(path: GaussianPath, x: Tensor, t: Time, z: Tensor) -> Jump:
    r"""Return intensity :math:`a [u^2 - c u - 1]_+` of each coordinate, and where it lands.

    With u = (x - alpha z) / sigma, a = -sigma_dot / sigma, c = -alpha_dot z / sigma_dot. On CondOT
    it is the paper's k_t(x) / (1 - t)^3 (arXiv 2410.20587, appendix E.7).
    """
    t, schedule = expand_time(t, x), path.schedule
    alpha, sigma, sigma_dot = schedule.alpha(t), schedule.sigma(t), schedule.sigma_dot(t)
    mean, c = alpha * z, -schedule.alpha_dot(t) * z / sigma_dot
    u = (x - mean) / sigma
    intensity = -sigma_dot / sigma * (u**2 - c * u - 1).clamp_min(0)
    return Jump(intensity, RatioOfNormals(mean, sigma, c), jump_clock(path, t))


@solves(MixturePath, Jump)
def mixture_jump(path: MixturePath, x: Tensor, t: Time, z: Tensor) -> Jump:
    r"""Return a jump to z at hazard :math:`\dot\kappa / (1 - \kappa)`; elements that are at z stay.

    The chance of an event on [t, s] is exactly 1 - (1 - kappa_s) / (1 - kappa_t).
    """
    z = z.expand(torch.broadcast_shapes(x.shape, z.shape))
    elements = z.shape[: z.ndim - path.space.element_dim]
    away = (x != z).flatten(len(elements)).any(-1) if path.space.element_dim else x != z
    t = expand_time(t, torch.empty(elements, device=x.device))
    return Jump(path.schedule.hazard(t) * away, Point(z), jump_clock(path, t))
