r"""What a network on tokens predicts: the posterior, or the leave-one-out distribution.

On the mixture path an element at state z has :math:`q_t(z | y) = \kappa_t [y = z] + g_t(z)` with
:math:`g_t = (1 - \kappa_t) p_0`. The **posterior** p(x_1 | x_t) has seen the element's own state;
the **leave-one-out** distribution p(x_1 | x_t without that element) has not. By Bayes' rule the
first is the second times the likelihood, and so the log-probabilities differ at one id only:

    posterior = leave-one-out + s_t(z) [y = z],    s_t(z) = log(1 + kappa_t / g_t(z)),

up to a constant. Of a masked element they are the same.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from feller.core.sources import Source

__all__ = ["TokenParametrization", "convert_logits", "own_evidence"]

TokenParametrization = Literal["posterior", "leave_one_out"]


def own_evidence(
    source: Source, x: Int[Tensor, "*batch"], kappa: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Return s_t(z) = log(1 + kappa / ((1 - kappa) p_0(z))) of the states `x`, in nats.

    It is infinite where the source never is: such a token has arrived.

    Example:
        >>> from feller.core.sources import UniformTokens
        >>> own_evidence(UniformTokens(4), torch.tensor([0]), torch.tensor([0.5])).exp()
        tensor([5.])
    """
    log_noise = torch.log1p(-kappa) + source.log_density(x)
    return F.softplus(kappa.log() - log_noise)


def convert_logits(
    logits: Float[Tensor, "*batch k"],
    pair: tuple[TokenParametrization, TokenParametrization],
    evidence: Float[Tensor, "*batch"],
    x: Int[Tensor, "*batch"],
) -> Float[Tensor, "*batch k"]:
    """Turn logits of one distribution into those of the other.

    Where the evidence is infinite the posterior is certain: its logits are 0 at the token and minus
    infinity elsewhere; the leave-one-out distribution cannot be recovered from it.

    Args:
        logits: What is known.
        pair: The names of what is known and of what is asked.
        evidence: That of each element's own state, from `own_evidence`.
        x: The states; a mask, which no logit stands for, adds nothing.
    """
    known, asked = pair
    if known == asked:
        return logits
    k = logits.shape[-1]
    is_token = x < k
    index = x.clamp_max(k - 1)[..., None]
    sign = 1 if asked == "posterior" else -1
    shift = torch.where(is_token & evidence.isfinite(), sign * evidence, 0)[..., None]
    shifted = logits.scatter_add(-1, index, shift.to(logits.dtype))
    if asked == "leave_one_out":
        return shifted
    certain = torch.full_like(logits, -torch.inf).scatter(-1, index, 0)
    return torch.where((is_token & evidence.isinf())[..., None], certain, shifted)
