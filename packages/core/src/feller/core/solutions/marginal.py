"""Marginal generators in closed form from a posterior over each element of the data."""

from torch import Tensor

from feller.core.generators import Destination, Flow, Jump
from feller.core.paths import GaussianPath, MixturePath
from feller.core.solutions.flow import gaussian_flow
from feller.core.solutions.rates import jump_clock
from feller.core.solutions.table import solves_from_posterior
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["gaussian_flow_from_posterior", "mixture_jump_from_posterior"]


@solves_from_posterior(GaussianPath, Flow)
def gaussian_flow_from_posterior(
    path: GaussianPath, x: Tensor, t: Time, posterior: Destination
) -> Flow:
    """Return the conditional velocity at the posterior mean: it is affine in the data."""
    values, weights = posterior.quadrature()
    return gaussian_flow(path, x, t, (values * weights).sum(-1))


@solves_from_posterior(MixturePath, Jump)
def mixture_jump_from_posterior(
    path: MixturePath, x: Tensor, t: Time, posterior: Destination
) -> Jump:
    """Return the jump to a draw of the posterior, at the hazard.

    Of elements that are at their data value already the posterior says so: their jumps lead where
    they are, or nowhere else.
    """
    time = expand_time(t, x)
    return Jump(path.schedule.hazard(time).expand(x.shape), posterior, jump_clock(path, time))
