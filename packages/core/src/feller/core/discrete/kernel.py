r"""What the mixture path does to one token, in terms of kappa alone.

With source probabilities pi, the token x is at mixing weight kappa in the distribution

.. math:: q_\kappa(y | x) = \kappa 1[y = x] + g(y), \qquad g(y) = (1 - \kappa) \pi(y).

Run backward, kappa falls and tokens are resampled from pi at rate 1 / kappa per unit of kappa: the
**noising chain**. Its reversal moves z to y at rate :math:`r(z) q(y|x) / q(z|x)` with
:math:`r(z) = \pi(z) / \kappa`. All rates here are per unit of kappa; times kappa_dot they are per
unit of time. So nothing in this file knows a schedule, except `log_left`.

A token that the source never draws is known to be data: it is **decided**.

Source: Campbell et al., arXiv 2205.14987, proposition 1, for this noise.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core.schedules import Schedule
from feller.core.sources import Source

__all__ = [
    "Kernel",
    "jump_probability",
    "log_left",
    "log_source",
    "reverse_rates",
]


def log_source(source: Source, size: int) -> Float[Tensor, " k"]:
    """Return log pi of each id, float64, minus infinity where the source draws none.

    Example:
        >>> from feller.core.sources import UniformTokens
        >>> log_source(UniformTokens(2), 3).exp()
        tensor([0.5000, 0.5000, 0.0000], dtype=torch.float64)
    """
    return source.log_density(torch.arange(size)).double().log_softmax(0)


@dataclass(frozen=True)
class Kernel:
    """The distribution q_kappa(y | x) of tokens, each at a mixing weight of its own.

    Attributes:
        kappa: Mixing weights, in [0, 1].
        log_source: log pi of every id, from `log_source`.

    Example:
        >>> from feller.core.sources import Masked
        >>> kernel = Kernel(torch.tensor([0.25]), log_source(Masked(2), 3))
        >>> kernel.log_prob(torch.tensor([2]), torch.tensor([0])).exp()
        tensor([0.7500], dtype=torch.float64)
    """

    kappa: Float[Tensor, "*batch"]
    log_source: Float[Tensor, " k"]

    def log_noise(self, y: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Return log g(y), minus infinity where the source draws no y."""
        return torch.log1p(-self.kappa) + self.log_source[y]

    def log_prob(
        self, y: Int[Tensor, "*batch"], x: Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Return log q(y | x)."""
        log_noise = self.log_noise(y)
        at_x = torch.where(y == x, self.kappa.to(log_noise).log(), -torch.inf)
        return torch.logaddexp(at_x, log_noise)

    def decided(self, z: Int[Tensor, "*batch"]) -> Bool[Tensor, "*batch"]:
        """Say where the state is not a draw of the source: there it is the data."""
        return self.log_source[z] == -torch.inf

    def evidence(self, z: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Return s(z) = log(1 + kappa / g(z)), infinite where z is decided.

        Posterior logits are leave-one-out logits with s(z) added at z.
        """
        return torch.nn.functional.softplus(self.kappa.log() - self.log_noise(z))


def reverse_rates(
    data: Float[Tensor, "*batch k"], z: Int[Tensor, "*batch"], kernel: Kernel
) -> Float[Tensor, "*batch k"]:
    """Return the rate from z to each id of the reversed noising chain, per unit of kappa.

    A table of every rate: for small vocabularies, and to test what never makes one.

    Args:
        data: Leave-one-out probabilities of every id, which give the marginal rates; of a certain
            x, the rates given x.
        z: The state.
        kernel: The distribution at this kappa, which is above 0.

    Example:
        >>> from feller.core.sources import Masked
        >>> kernel = Kernel(torch.tensor([0.5]), log_source(Masked(2), 3))
        >>> reverse_rates(torch.tensor([[0.25, 0.75, 0.0]]), torch.tensor([2]), kernel).float()
        tensor([[0.5000, 1.5000, 0.0000]])
    """
    pi, kappa = kernel.log_source.exp(), kernel.kappa[..., None]
    total = kappa * data + (1 - kappa) * pi
    rates = pi[z][..., None] / kappa * total / total.gather(-1, z[..., None])
    return rates.scatter(-1, z[..., None], 0.0)


def log_left(schedule: Schedule, t: Float[Tensor, "*time"]) -> Float[Tensor, "*time"]:
    """Return log(1 - kappa) at time t, in float64; minus infinity at t = 1.

    Example:
        >>> from feller.core.schedules import CondOT
        >>> log_left(CondOT(), torch.tensor(0.0))
        tensor(0., dtype=torch.float64)
    """
    return schedule.remainder(t.double()).log()


def jump_probability(
    kappa: Float[Tensor, "*batch"], later: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Return the probability of a jump from one mixing weight to a later one: exact over any step.

    It is 1 - (1 - later) / (1 - kappa), and 0 where kappa is 1.

    Example:
        >>> jump_probability(torch.tensor([0.5, 1.0]), torch.tensor([0.75, 1.0]))
        tensor([0.5000, 0.0000])
    """
    left = 1 - kappa
    fraction = (later - kappa) / torch.where(left > 0, left, 1.0)
    return fraction.clamp(0, 1)
