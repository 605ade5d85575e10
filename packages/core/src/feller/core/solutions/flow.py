"""Flows that solve a path: conditional velocities."""

import torch
from torch import Tensor

from feller.core.generators import Flow
from feller.core.pairs import Pair
from feller.core.paths import BridgePath, GaussianPath, GeodesicPath
from feller.core.solutions.table import solves
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["bridge_flow", "gaussian_flow", "geodesic_flow"]


@solves(GaussianPath, Flow)
def gaussian_flow(path: GaussianPath, x: Tensor, t: Time, z: Tensor) -> Flow:
    r"""Return :math:`u = \dot\alpha z + (\dot\sigma / \sigma)(x - \alpha z)`.

    Source: Lipman et al., arXiv 2210.02747, theorem 3.
    """
    alpha, sigma, alpha_dot, sigma_dot = path.schedule.coefficients(expand_time(t, x))
    pull = sigma_dot / sigma
    of_data = alpha_dot - pull * alpha  # both terms have one sign
    return Flow(torch.addcmul(pull * x, of_data, z))  # two passes over the states


@solves(GeodesicPath, Flow)
def geodesic_flow(path: GeodesicPath, x: Tensor, t: Time, z: Tensor) -> Flow:
    r"""Return :math:`u = \dot\kappa / (1 - \kappa) \log_x z`.

    Source: Chen and Lipman, arXiv 2302.03660, equation 14.
    """
    return Flow(path.schedule.hazard(expand_time(t, x)) * path.space.log(x, z))


@solves(BridgePath, Flow)
def bridge_flow(path: BridgePath, x: Tensor, t: Time, z: Pair) -> Flow:
    r"""Return :math:`u = \dot a x_0 + \dot b x_1 + (\dot g / g)(x - a x_0 - b x_1)`.

    Source: Albergo, Boffi and Vanden-Eijnden, arXiv 2303.08797, equation 2.10.
    """
    clock = expand_time(t, x)
    return Flow(path.toward(x, clock, z))
