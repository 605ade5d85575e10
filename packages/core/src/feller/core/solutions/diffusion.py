"""Diffusions that solve a path."""

from typing import Any

import torch
from torch import Tensor

from feller.core.generators import Diffusion
from feller.core.pairs import Pair
from feller.core.paths import BridgePath, GaussianPath, MixturePath
from feller.core.solutions.flow import gaussian_flow
from feller.core.solutions.table import solves
from feller.core.sources import UniformBox
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = [
    "bridge_diffusion",
    "gaussian_diffusion",
    "langevin",
    "mixture_diffusion",
]


@solves(GaussianPath, Diffusion)
def gaussian_diffusion(path: GaussianPath, x: Tensor, t: Time, z: Tensor) -> Diffusion:
    r"""Return drift :math:`u + \frac12 g^2 \nabla\log p` and covariance :math:`g^2`.

    Any g solves the path (`feller.core.noise.Noised`); here g^2 = -2 sigma sigma_dot, the rate at
    which the variance of the noise falls, which is finite at the source and vanishes at the data.
    Source: Albergo et al., arXiv 2303.08797, theorem 2.13.
    """
    variance = path.noise_variance(expand_time(t, x))
    along = gaussian_flow(path, x, t, z).velocity
    noise = langevin(path.score(x, t, z), variance.expand_as(along))
    return Diffusion(along + noise.drift, noise.covariance)


@solves(BridgePath, Diffusion)
def bridge_diffusion(path: BridgePath, x: Tensor, t: Time, z: Pair) -> Diffusion:
    r"""Return drift :math:`u + \frac12 e^2 \nabla\log p` and covariance :math:`e^2`.

    Any e solves the path; here that of `BridgePath.noise_variance`, with which x_0 leaves the drift
    where e is not 0: the process is Markov given x_1 alone. On the Brownian bridge e is its scale
    and the drift (x_1 - x) / (1 - t). Source: Tong et al., arXiv 2307.03672, section 3.
    """
    clock = expand_time(t, x)
    variance = path.noise_variance(clock).expand_as(x)
    return Diffusion(path.toward(x, clock, z, noisy=True), variance)


def langevin(score: Tensor, variance: Tensor, gradient: Tensor | None = None) -> Diffusion:
    r"""Return the Langevin diffusion, which leaves alone the distribution whose score it is given.

    Its drift is :math:`\frac12 (g_i^2 \partial_i \log p + \partial_i g_i^2)` in each coordinate.
    Source: Generator Matching, arXiv 2410.20587, proposition 3 (divergence-free parts).

    Args:
        score: The gradient of log p, `(b, *event)`.
        variance: g^2 of each coordinate, what broadcasts to the state, at least 0.
        gradient: The derivative of each g_i^2 by x_i, where the noise depends on the state. Without
            it such a diffusion is not stationary.

    Example:
        >>> langevin(torch.tensor([[-1.0]]), torch.tensor(4.0)).drift
        tensor([[-2.]])
    """
    drift = variance * score / 2
    return Diffusion(drift if gradient is None else drift + gradient / 2, variance.expand_as(drift))


@solves(MixturePath, Diffusion)
def mixture_diffusion(path: MixturePath, x: Tensor, t: Time, z: Tensor) -> Diffusion:
    r"""Return the diffusion without drift that gathers an interval's uniform source at z.

    Its variance is :math:`\dot\kappa / (1 - \kappa) |x - z| (x + z - 2 l)` left of z and
    :math:`\dot\kappa / (1 - \kappa) |x - z| (2 r - x - z)` right of it: what is at z stays there.
    Source: Generator Matching, arXiv 2410.20587, section 4.2, the pure-diffusion solution, written
    as products, which do not cancel.

    Raises:
        ValueError: When the space is not an interval or the source not uniform on all of it.
    """
    check_uniform_interval(path)
    space: Any = path.space
    reach = torch.where(x < z, x + z - 2 * space.low, 2 * space.high - x - z)
    variance = path.schedule.hazard(expand_time(t, x)) * (x - z).abs() * reach
    return Diffusion(torch.zeros_like(variance), variance)


def check_uniform_interval(path: MixturePath) -> None:
    """Raise unless the path goes from the uniform distribution on an interval."""
    space, source = path.space, path.source
    if space.ends is None or source != UniformBox(*space.ends):
        raise ValueError(
            "a mixture path diffuses on an Interval from a UniformBox with the same ends, "
            f"not on {space} from {source}"
        )
