r"""Path divergences: how fast the conditional process and the model's drift apart, in nats.

The model must follow the process that leads to z without knowing z. The Kullback-Leibler divergence
of the distributions of their whole paths grows at a rate that is a Bregman divergence of the
generators at (x_t, t), and its integral bounds -log p(z). With q the rates of jumps, :math:`\hat q`
those of the model, u velocities and b drifts:

| generator | rate |
| --- | --- |
| jump | :math:`\sum_y q \log(q / \hat q) - q + \hat q`, over y other than x |
| diffusion | :math:`\frac12 \| b - \hat b \|^2 / g^2` |
| flow | :math:`\frac{\alpha}{\sigma W} \| u - \hat u \|^2` |

with :math:`W = \dot\alpha \sigma - \alpha \dot\sigma`. Two flows drift apart at once, and for good;
what stands in their row is the rate of the diffusion with the same score and the covariance
:math:`g^2 = 2 \sigma W / \alpha` that makes it least, which is that of the noising process. It is
:math:`\frac12 \frac{d}{dt} \log\mathrm{SNR} \, \| n - \hat n \|^2`, the loss of variational
diffusion models (Kingma et al., arXiv 2107.00630, equation 17), written for velocities. Jumps:
Generator Matching, arXiv 2410.20587, appendix D.2.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.generators import Destination, Diffusion, Flow, Generator, Jump
from feller.core.paths import ConditionalPath, GaussianPath, MixturePath
from feller.core.solutions import solution
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["log_mass", "only_part", "path_divergence"]


def path_divergence(
    generator: Generator, path: ConditionalPath, x: Tensor, t: Time, z: Tensor
) -> Float[Tensor, " b"]:
    """Return the rate of the path divergence of each sample, in nats per unit time.

    Args:
        generator: The model's at (x, t).
        path: The conditional path.
        x: States `(b, *event)`.
        t: The time, before 1.
        z: The data points they lead to.

    Raises:
        LookupError: When the pair of path and generator has none.
        ValueError: When the generator is a sum, or a diffusion of another covariance.

    Example:
        >>> path, x, z = GaussianPath(), torch.zeros(1, 1), torch.ones(1, 1)
        >>> path_divergence(Flow(torch.zeros(1, 1)), path, x, 0.5, z)
        tensor([4.])
    """
    generator = only_part(generator)
    for path_type, kind, rate in _RATES:
        if isinstance(path, path_type) and isinstance(generator, kind):
            return rate(generator, path, x, t, z)[:, None].flatten(1).sum(1)
    known = ", ".join(f"{p.__name__} x {k.__name__}" for p, k, _ in _RATES)
    pair = f"{type(path).__name__} x {type(generator).__name__}"
    raise LookupError(f"no path divergence of {pair}; there are {known}")


def only_part(generator: Generator) -> Generator:
    """Return the generator that a sum of one part at weight 1, or a posterior, stands for.

    Raises:
        ValueError: When there are more parts, or the part does not move along the path.
    """
    (part, *others) = generator.leaves()
    if others or isinstance(part.weight, Tensor) or part.weight != 1:
        raise ValueError("a bound is of one generator at weight 1, not of a superposition")
    if part.role != "forward":
        raise ValueError(f"a bound is of a generator along the path, not of a {part.role} one")
    return part.generator


def _mixture_jump(jump: Jump, path: MixturePath, x: Tensor, t: Time, z: Tensor) -> Tensor:
    """Return the rate of each element: all of the conditional rate goes to z."""
    if path.space.element_dim:
        raise ValueError(f"a jump to z has a mass on numbers and tokens, not on {path.space}")
    log_z, log_x = (log_mass(jump.destination, y) for y in (z, x))
    hazard = path.schedule.hazard(expand_time(t, log_z)).expand_as(log_z)
    leaves = -torch.expm1(log_x)
    arrives = hazard * (hazard.log() - jump.intensity.log() - log_z - 1)
    return jump.intensity * leaves + torch.where((x != z) & (hazard > 0), arrives, 0.0)


def _gaussian_jump(jump: Jump, path: GaussianPath, x: Tensor, t: Time, z: Tensor) -> Tensor:
    """Return the rate of each coordinate, its densities compared within bins too."""
    target: Any = solution(path, Jump)(path, x, t, z)
    destination, intensity = target.destination, target.intensity
    points, weights = destination.quadrature()
    entropy = _expect(weights, _log_density(_apart(destination, x), points))
    if jump.destination.cells is None:
        cross = _expect(weights, _log_density(_apart(jump.destination, x), points))
    else:
        cross = _binned_cross(destination, jump.destination)
    excess = intensity * (intensity.log() - jump.intensity.log() + entropy - cross - 1)
    return jump.intensity + torch.where(intensity > 0, excess, 0.0)


def _gaussian_diffusion(
    diffusion: Diffusion, path: GaussianPath, x: Tensor, t: Time, z: Tensor
) -> Tensor:
    """Return half the squared error of the drift over the covariance (Girsanov)."""
    target: Any = solution(path, Diffusion)(path, x, t, z)
    ours = diffusion.covariance.expand_as(target.covariance)
    if not torch.allclose(ours, target.covariance, rtol=1e-3):
        raise ValueError("the covariance is not that of the path's solution: paths never agree")
    return 0.5 * (target.drift - diffusion.drift) ** 2 / target.covariance


def _gaussian_flow(flow: Flow, path: GaussianPath, x: Tensor, t: Time, z: Tensor) -> Tensor:
    """Return alpha / (sigma W) times the squared error of the velocity."""
    target: Any = solution(path, Flow)(path, x, t, z)
    time, schedule = expand_time(t, x), path.schedule
    alpha, sigma = schedule.alpha(time), schedule.sigma(time)
    wronskian = schedule.alpha_dot(time) * sigma - alpha * schedule.sigma_dot(time)
    return alpha / (sigma * wronskian) * (target.velocity - flow.velocity) ** 2


_RATES: tuple[tuple[type, type, Callable[..., Tensor]], ...] = (
    (MixturePath, Jump, _mixture_jump),
    (GaussianPath, Jump, _gaussian_jump),
    (GaussianPath, Diffusion, _gaussian_diffusion),
    (GaussianPath, Flow, _gaussian_flow),
)


def log_mass(destination: Destination, y: Tensor) -> Tensor:
    """Return the log-probability that a distribution gives to the very point `y`.

    Raises:
        LookupError: For one with a density, which gives none.

    Example:
        >>> from feller.core.generators import Categorical
        >>> log_mass(Categorical(torch.zeros(1, 4)), torch.tensor([2])).exp()
        tensor([0.2500])
    """
    if destination.is_density:
        raise LookupError(f"a {type(destination).__name__} gives no mass to a point")
    return destination.log_prob(y)


def _log_density(destination: Destination, y: Tensor) -> Tensor:
    if not destination.is_density:
        raise LookupError(f"a {type(destination).__name__} has no density")
    return destination.log_prob(y)


def _binned_cross(destination: Destination, bins: Any) -> Tensor:
    """Return E log J(y) of a density that is constant in each bin; -inf where it misses some."""
    if not bins.is_density:
        raise LookupError(f"a {type(bins).__name__} has no density")
    mass = destination.masses(bins.cells)
    cross = torch.where(mass > 0, mass * bins.log_densities(), 0.0).sum(-1)
    return torch.where(mass.sum(-1) > 1 - 1e-4, cross, -torch.inf)


def _apart(destination: Destination, x: Tensor) -> Destination:
    """Return the distributions of the elements of `x` with an axis for several points of each."""
    return destination.expand(x.shape).map(lambda tensor: tensor.unsqueeze(x.ndim))


def _expect(weights: Tensor, log_density: Tensor) -> Tensor:
    return torch.where(weights > 0, weights * log_density, 0.0).sum(-1)
