"""Marginal generators in closed form from a posterior over each element of the data."""

import torch
from torch import Tensor

from feller.core.generators import (
    Deferred,
    Destination,
    Diffusion,
    Flow,
    Jump,
    Mixture,
    RatioOfNormals,
)
from feller.core.paths import GaussianPath, GeometricPath, MixturePath
from feller.core.solutions.averages import expect, refuse_vectors
from feller.core.solutions.diffusion import gaussian_diffusion
from feller.core.solutions.flow import gaussian_flow
from feller.core.solutions.jump import gaussian_fall, gaussian_shape
from feller.core.solutions.rates import cumulative_hazard, mixing_rate
from feller.core.solutions.table import solves_from_posterior
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = [
    "gaussian_diffusion_from_posterior",
    "gaussian_flow_from_posterior",
    "gaussian_jump_from_posterior",
    "geometric_jump_from_posterior",
    "mixture_jump_from_posterior",
]


@solves_from_posterior(GaussianPath, Flow)
def gaussian_flow_from_posterior(
    path: GaussianPath, x: Tensor, t: Time, posterior: Destination
) -> Flow:
    """Return the conditional velocity at the posterior mean: it is affine in the data."""
    return gaussian_flow(path, x, t, _mean(posterior, x))


@solves_from_posterior(GaussianPath, Diffusion)
def gaussian_diffusion_from_posterior(
    path: GaussianPath, x: Tensor, t: Time, posterior: Destination
) -> Diffusion:
    """Return the conditional diffusion at the posterior mean: its drift is affine in the data."""
    return gaussian_diffusion(path, x, t, _mean(posterior, x))


@solves_from_posterior(GaussianPath, Jump)
def gaussian_jump_from_posterior(
    path: GaussianPath, x: Tensor, t: Time, posterior: Destination
) -> Jump:
    """Return the mean of the conditional jumps, which no tensor of elements times values holds.

    The intensity is summed a few elements at a time; where a jump goes is worked out for those that
    fire: to the data value z with a probability in proportion to its own and the intensity that
    it gives, then as if z were known.
    """
    t = expand_time(t, x)

    def rate(z: Tensor, x: Tensor, t: Tensor) -> Tensor:
        return gaussian_fall(path, x, t, z).clamp_min(0)

    def landing(posterior: Destination, x: Tensor, t: Tensor) -> Destination:
        values, weights = posterior.quadrature()
        x, t = x[..., None], t[..., None]
        ways = gaussian_shape(path, t, values)
        return Mixture(weights * rate(values, x, t), RatioOfNormals(*ways))

    intensity = expect(rate, posterior, (x, t), x.shape)
    return Jump(intensity, Deferred(posterior, (x, t), landing), cumulative_hazard(path, t))


@solves_from_posterior(MixturePath, Jump)
def mixture_jump_from_posterior(
    path: MixturePath, x: Tensor, t: Time, posterior: Destination
) -> Jump:
    """Return the jump to a draw of the posterior, at the hazard.

    From a masked source what is not the mask is data, and stays. Of other elements that are at
    their data value the posterior says so: their jumps lead where they are, or nowhere else.

    Raises:
        LookupError: Where an element is a vector, of which a posterior over numbers says nothing.
    """
    refuse_vectors(path)
    time = expand_time(t, torch.empty(x.shape, device=x.device))
    rate = mixing_rate(path, time).expand(x.shape)
    arrived = path.arrived(x)
    if arrived is not None:
        rate = torch.where(arrived, 0.0, rate)
    return Jump(rate, posterior, cumulative_hazard(path, time))


@solves_from_posterior(GeometricPath, Jump)
def geometric_jump_from_posterior(
    path: GeometricPath, x: Tensor, t: Time, posterior: Destination
) -> Jump:
    """Return the jump to a draw of the posterior, at the rate at which one goes to the data."""
    time = expand_time(t, torch.empty(x.shape, device=x.device))
    return Jump(mixing_rate(path, time).expand(x.shape), posterior, cumulative_hazard(path, time))


def _mean(posterior: Destination, x: Tensor) -> Tensor:
    return expect(lambda values: values, posterior, (), x.shape)
