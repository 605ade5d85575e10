r"""Correctors: stationary jumps, which leave a path alone and wash out what went wrong before.

On the mixture path an element goes back from z to the source and forth again, in balance: at rate
:math:`\eta \kappa` to z where it is not, at rate :math:`\eta \kappa (1 - \kappa) / p_t(z | z)` from
z to a draw of p_0. Both carry the flux :math:`\eta \kappa (1 - \kappa)`. On a continuous space the
second rate is :math:`\eta (1 - \kappa)`.

Source: Generator Matching, arXiv 2410.20587, proposition 3; predictor-corrector sampling of token
chains, Campbell et al., arXiv 2205.14987.
"""

import torch
from torch import Tensor

from feller.core.generators import Categorical, Destination, Either, FromSource, Jump, Point
from feller.core.paths import MixturePath
from feller.core.solutions.jump import apart, mass_at_data
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["mixture_corrector", "mixture_corrector_from_posterior"]


def mixture_corrector(path: MixturePath, x: Tensor, t: Time, z: Tensor) -> Jump:
    """Return the corrector of p_t(. | z) for eta = 1: a jump to mark as stationary.

    Example:
        >>> from feller.core.sources import Masked
        >>> from feller.core.spaces import Tokens
        >>> path = MixturePath(Tokens(3), Masked(2))
        >>> x, z = torch.tensor([[2, 1]]), torch.tensor([[0, 1]])
        >>> mixture_corrector(path, x, 0.25, z).intensity
        tensor([[0.2500, 0.7500]])
    """
    away, z, t = apart(path, x, t, z)
    kappa, left = path.schedule.alpha(t), path.schedule.remainder(t)
    intensity = torch.where(away, kappa, kappa * left / mass_at_data(path, t, z))
    return Jump(intensity, Either(away.to(kappa), Point(z), FromSource(path.source, z)))


def mixture_corrector_from_posterior(
    path: MixturePath, x: Tensor, t: Time, posterior: Destination
) -> Jump:
    """Return the corrector of the marginal path, from the distribution of each token.

    Raises:
        ValueError: On a space that is not discrete, where a distribution of values does not say
            whether an element is at one.
    """
    if not isinstance(posterior, Categorical):
        raise ValueError(
            f"a corrector from a posterior moves tokens by a Categorical, not {path.space}"
        )
    time = expand_time(t, torch.empty(x.shape, device=x.device))
    kappa, left = path.schedule.alpha(time), path.schedule.remainder(time)
    values = posterior.logits.shape[-1]  # without the mask, perhaps: data are never there
    at_x = posterior.logits.gather(-1, x.clamp_max(values - 1)[..., None])[..., 0]
    at_x = at_x.masked_fill(x >= values, -torch.inf)
    stays = (at_x - posterior.logits.logsumexp(-1)).exp()
    back = stays * kappa * left / mass_at_data(path, time, x).clamp_min(1e-30)
    total = kappa + back  # a jump of a token to where it is counts, and changes nothing
    onward = kappa / torch.where(total > 0, total, 1.0)
    return Jump(total, Either(onward, posterior, FromSource(path.source, x)))
