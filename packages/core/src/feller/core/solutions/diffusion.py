"""Diffusions that solve a path."""

from torch import Tensor

from feller.core.generators import Diffusion
from feller.core.paths import GaussianPath
from feller.core.solutions.flow import gaussian_flow
from feller.core.solutions.table import solves
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["gaussian_diffusion", "gaussian_score"]


@solves(GaussianPath, Diffusion)
def gaussian_diffusion(path: GaussianPath, x: Tensor, t: Time, z: Tensor) -> Diffusion:
    r"""Return drift :math:`u + \frac12 g^2 \nabla\log p` and covariance :math:`g^2`.

    Any g solves the path; here g^2 = -2 sigma sigma_dot, the rate at which the variance of the
    noise falls, which is finite at the source and vanishes at the data. Source: Albergo et al.,
    arXiv 2303.08797, theorem 2.13.
    """
    schedule, clock = path.schedule, expand_time(t, x)
    variance = -2 * schedule.sigma(clock) * schedule.sigma_dot(clock)
    drift = gaussian_flow(path, x, t, z).velocity
    return Diffusion(
        drift + variance / 2 * gaussian_score(path, x, t, z), variance.expand_as(drift)
    )


def gaussian_score(path: GaussianPath, x: Tensor, t: Time, z: Tensor) -> Tensor:
    """Return the gradient of log p_t(x | z): -(x - alpha z) / sigma^2."""
    t = expand_time(t, x)
    return -(x - path.schedule.alpha(t) * z) / path.schedule.sigma(t) ** 2
