"""Flows that solve a path: conditional velocities."""

from torch import Tensor

from feller.core.generators import Flow
from feller.core.paths import GaussianPath, GeodesicPath
from feller.core.solutions.table import solves
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["gaussian_flow", "geodesic_flow"]


@solves(GaussianPath, Flow)
def gaussian_flow(path: GaussianPath, x: Tensor, t: Time, z: Tensor) -> Flow:
    r"""Return :math:`u = \dot\alpha z + (\dot\sigma / \sigma)(x - \alpha z)`.

    Source: Lipman et al., arXiv 2210.02747, theorem 3.
    """
    t = expand_time(t, x)
    schedule = path.schedule
    noise = (x - schedule.alpha(t) * z) / schedule.sigma(t)
    return Flow(schedule.alpha_dot(t) * z + schedule.sigma_dot(t) * noise)


@solves(GeodesicPath, Flow)
def geodesic_flow(path: GeodesicPath, x: Tensor, t: Time, z: Tensor) -> Flow:
    r"""Return :math:`u = \dot\kappa / (1 - \kappa) \log_x z`.

    Source: Chen and Lipman, arXiv 2302.03660, equation 14.
    """
    return Flow(path.schedule.hazard(expand_time(t, x)) * path.space.log(x, z))
