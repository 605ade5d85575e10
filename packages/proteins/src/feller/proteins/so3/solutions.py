r"""Solutions of the isotropic paths of rotations: flow, diffusion, jump, and the jump back.

With w and n the angle and axis of :math:`R_1^T R`, in which R may turn its own axes too, s the
parameter of the distribution and g, score and rise those of `RadialDistribution`:

- flow: velocity :math:`\dot s g n`;
- diffusion: for any variance v_t the drift :math:`\dot s g n + \frac12 v_t \nabla \log p_t`;
- jump: intensity :math:`[\dot s \, \partial_s \log f]_-`, to :math:`R_1 \exp(w' n')` with n'
  uniform and w' where mass gathers, whatever R was (Generator Matching, arXiv 2410.20587, section
  4.2, the jump of least rate). An element survives the step from t to t' with probability f(w; s')
  / f(w; s): the edge draws in, so where the density falls it goes on falling.

The geodesic path has its flow, and the mixture path its jumps, from the core.
"""

from typing import Any

from torch import Tensor

from feller.core.generators import Destination, Diffusion, Flow, Jump, Mixture
from feller.core.solutions.rates import cumulative_of
from feller.core.solutions.table import solves, solves_from_posterior
from feller.core.times import expand_time
from feller.core.typing import Time
from feller.proteins.so3.destinations import About
from feller.proteins.so3.diffusion import RotationDiffusion
from feller.proteins.so3.fisher import mean_cosine
from feller.proteins.so3.jumps import PosteriorJump
from feller.proteins.so3.paths import FisherPath, IsotropicPath
from feller.proteins.so3.rotations import angle, hat, log, relative

__all__ = [
    "fisher_langevin",
    "isotropic_diffusion",
    "isotropic_flow",
    "isotropic_jump",
    "isotropic_jump_backward",
    "isotropic_jump_from_posterior",
    "isotropic_langevin",
]


@solves(IsotropicPath, Flow)
def isotropic_flow(path: IsotropicPath, x: Tensor, t: Time, z: Tensor) -> Flow:
    """Return the radial velocity: towards the data, along the geodesic."""
    w, t = _angle(x, t, z)
    speed = path.parameter_dot(t) * path.family.velocity(w, path.parameter(t))
    return Flow(_radial(x, z, w, speed))


@solves(IsotropicPath, Diffusion)
def isotropic_diffusion(path: IsotropicPath, x: Tensor, t: Time, z: Tensor) -> RotationDiffusion:
    """Return the flow with the Langevin diffusion of the path's own variance."""
    along = isotropic_flow(path, x, t, z).velocity
    noise = isotropic_langevin(path, x, t, z)
    return RotationDiffusion(along + noise.drift, noise.variance)


def isotropic_langevin(path: IsotropicPath, x: Tensor, t: Time, z: Tensor) -> RotationDiffusion:
    """Return the diffusion that leaves p_t(. | z) alone; its variance is that of the path."""
    w, t = _angle(x, t, z)
    variance = path.variance(t).expand_as(w)
    pull = variance / 2 * path.family.score(w, path.parameter(t))
    return RotationDiffusion(_radial(x, z, w, pull), variance)


def fisher_langevin(path: FisherPath, x: Tensor, t: Time, posterior: Mixture) -> RotationDiffusion:
    r"""Return the diffusion that leaves the marginal p_t alone; its variance is that of the path.

    The marginal score is the posterior mean of the conditional ones. Those of the Fisher path,
    :math:`-\frac{\nu}{2} (R_1^T R - R^T R_1)` in the axes of R, are linear in R_1, and the mean of
    an isotropic Fisher distribution about C is :math:`\frac{1 + 2 B}{3} C`.

    Args:
        path: The path.
        x: Rotations R.
        t: Times.
        posterior: A mixture of isotropic Fisher distributions of R_1.

    Example:
        >>> import torch
        >>> from feller.proteins.so3.destinations import Isotropic
        >>> from feller.proteins.so3.fisher import FISHER
        >>> from feller.proteins.so3.rotations import exp
        >>> here, far = torch.eye(3).expand(1, 1, 3, 3), exp(torch.tensor([[[[0.0, 0.0, 1.0]]]]))
        >>> sharp = Mixture(torch.ones(1, 1, 1), Isotropic(far, torch.full((1, 1, 1), 1e6), FISHER))
        >>> fisher_langevin(FisherPath(), here, 0.5, sharp).drift[0, 0, 1, 0] > 0
        tensor(True)
    """
    modes: Any = posterior.components
    weights = posterior.weights / posterior.weights.sum(-1, keepdim=True)
    shrunk = weights * (1 + 2 * mean_cosine(modes.parameter)) / 3
    mean = (shrunk[..., None, None] * modes.centre).sum(-3)
    t = expand_time(t, x[..., 0, 0])
    variance = path.variance(t).expand(x.shape[:-2])
    turned = mean.mT @ x
    pull = (-variance * path.parameter(t) / 4)[..., None, None] * (turned - turned.mT)
    return RotationDiffusion(x @ pull, variance)


@solves(IsotropicPath, Jump)
def isotropic_jump(path: IsotropicPath, x: Tensor, t: Time, z: Tensor) -> Jump:
    """Return the jump from where mass is lost to where it gathers."""
    w, t = _angle(x, t, z)
    intensity = (-_change(path, w, t)).clamp_min(0)

    def loss(h: Tensor) -> Tensor:
        now, then = (path.family.log_density(w, path.parameter(s)) for s in (t, t + h))
        return now - then

    return Jump(intensity, _about(path, w, t, z, inside=True), cumulative_of(intensity, loss))


@solves(IsotropicPath, Jump, backward=True)
def isotropic_jump_backward(path: IsotropicPath, x: Tensor, t: Time, z: Tensor) -> Jump:
    """Return the jump of reversed time: from where mass gathers to where it is lost."""
    w, t = _angle(x, t, z)
    return Jump(_change(path, w, t).clamp_min(0), _about(path, w, t, z, inside=False))


@solves_from_posterior(IsotropicPath, Jump)
def isotropic_jump_from_posterior(
    path: IsotropicPath, x: Tensor, t: Time, posterior: Destination
) -> PosteriorJump:
    """Return the marginal jump, which draws the data from the posterior, one draw a step."""
    return PosteriorJump(path, t, posterior)


def _change(path: IsotropicPath, w: Tensor, t: Tensor) -> Tensor:
    """Return d/dt log p_t."""
    return path.parameter_dot(t) * path.family.rise(w, path.parameter(t))


def _angle(x: Tensor, t: Time, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the angle from z to x, and a time that broadcasts to it."""
    w = angle(relative(z, x))
    return w, expand_time(t, w)


def _radial(x: Tensor, z: Tensor, w: Tensor, speed: Tensor) -> Tensor:
    """Return the tangent at `x` of a speed away from `z`; at z there is none."""
    unit = log(relative(z, x)) / w.clamp_min(1e-6)[..., None]
    return x @ hat(speed[..., None] * unit)


def _about(path: IsotropicPath, w: Tensor, t: Tensor, z: Tensor, *, inside: bool) -> About:
    centre = z.expand(*w.shape, 3, 3)
    return About(centre, path.parameter(t).expand_as(w), path.family, inside)
