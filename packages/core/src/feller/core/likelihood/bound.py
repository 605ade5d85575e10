r"""Evidence bounds: lower bounds on the probability of data under a jump process or a diffusion.

The process that leads to z and the model's have path distributions whose divergence bounds the
evidence (the data processing inequality). Up to a time T,

.. math:: -\log p(z) \le KL(p_0(\cdot | z) \| p_0) + \int_0^T E \, \text{rate}(x_t, t) \, dt
    + E[-\log p(z | x_T)], \quad x_t \sim p_t(\cdot | z).

- The **prior** term is zero where the path starts at its source; the variance-preserving schedule
  does not quite.
- The **path** term integrates the rates of `feller.core.likelihood.rates`.
- The **reconstruction** term is -log p(z | x_T). On a mixture path each element is drawn
  from the posterior that the model's jump stands for; on the Gaussian path from the normal of mean
  x_T / alpha and deviation sigma / alpha, or, where data take known levels, from the posterior over
  them under equal odds.

It is a bound for every T; the best T is where the model no longer adds information to x_T itself.

Source: Kingma et al., arXiv 2107.00630, equation 11; Generator Matching, arXiv 2410.20587, appendix
D.2.
"""

import math
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.checks import check_no_gradient
from feller.core.couplings import check_score
from feller.core.generators import Flow
from feller.core.generators.base import is_kind
from feller.core.likelihood.rates import log_mass, only_part, path_divergence
from feller.core.models import Model
from feller.core.paths import ConditionalPath, GaussianPath, MixturePath
from feller.core.solvers import Evaluation
from feller.core.times import expand_time
from feller.core.typing import Rng

__all__ = ["EvidenceBound", "Strata", "evidence_bound"]


@dataclass(frozen=True)
class Strata:
    """Times at which the path term is evaluated: two in each of `count` intervals of [0, end].

    Two draws in each interval estimate its variance without bias. Intervals are equal in
    1 - (1 - t)^(1 / power): a power of 2 takes the noise out of rates that are rare events at
    the hazard 1 / (1 - t), those of masks; a larger power puts more times near t = 1.

    Attributes:
        count: Number of intervals.
        end: The last time T; 1 is for mixture paths only, and for models that are sure of elements
            that have arrived.
        power: How strongly the intervals concentrate near t = 1.

    Raises:
        ValueError: When these make no intervals.
    """

    count: int = 8
    end: float = 0.999
    power: float = 2.0

    def __post_init__(self) -> None:
        """Check the values."""
        if self.count < 1 or not 0 < self.end <= 1 or self.power < 1:
            raise ValueError(f"count >= 1, 0 < end <= 1 and power >= 1, not {self}")

    def draw(self, interval: int, rows: int, rng: Rng, like: Tensor) -> tuple[Tensor, Tensor]:
        """Draw a time in an interval for each row; return it with dt/du over the whole of [0, 1].

        Example:
            >>> t, weight = Strata(count=2, power=1.0).draw(1, 3, None, torch.zeros(1))
            >>> bool((t > 0.49).all()), weight
            (True, tensor([0.9990, 0.9990, 0.9990]))
        """
        last = 1 - (1 - self.end) ** (1 / self.power)
        left = 1 - last * (interval + random.uniform((rows,), rng, like=like)) / self.count
        tiny = torch.finfo(left.dtype).eps / 2
        weight = last * self.power * left ** (self.power - 1)
        return (1 - left**self.power).clamp(tiny, 1 - tiny), weight


@dataclass(frozen=True)
class EvidenceBound:
    """A bound on the evidence of each sample, term by term, in nats.

    Attributes:
        prior: Nats for what the source does not determine of z.
        path: The divergence of the model's path from that of z.
        reconstruction: Nats of z given the state at the last time.
        error: The standard error of their sum.
        nfe: Network calls per sample.
    """

    prior: Float[Tensor, " b"]
    path: Float[Tensor, " b"]
    reconstruction: Float[Tensor, " b"]
    error: Float[Tensor, " b"]
    nfe: int

    @property
    def nats(self) -> Float[Tensor, " b"]:
        """An estimate of a lower bound on log p(z)."""
        return -(self.prior + self.path + self.reconstruction)


def evidence_bound(
    model: Model,
    z: Tensor,
    *,
    strata: Strata | None = None,
    levels: Float[Tensor, " k"] | None = None,
    rng: Rng = None,
    condition: Any = None,
) -> EvidenceBound:
    """Estimate a lower bound on log p(z), without bias.

    A jump model is bounded as it is simulated, and so is a diffusion. A flow on a Gaussian path is
    bounded as the diffusion of its score (`feller.core.likelihood.rates`); its own density is
    `log_likelihood`. Jumps into bins do not follow the path into t = 1: let the last time be where
    sigma is about the width of a bin.

    Args:
        model: A model of one kind of generator, with a `path`: Gaussian, or a mixture.
        z: Data `(b, *event)`.
        strata: The times; `Strata()` if None.
        levels: On the Gaussian path, the numbers that data take, rising: the bound is then on their
            log-probability. If None it is on a log-density.
        rng: Where randomness comes from.
        condition: Passed to the model.

    Raises:
        LookupError: When the path, or it with the model's kind, has no bound.
        ValueError: When the model has no path or is a superposition, `z`, `levels` and the last
            time do not go with the path, a flow does not determine its score, or a gradient is
            asked for: there is none.

    Example:
        >>> from feller.core.posteriors import NormalMixture
        >>> one = torch.ones(1)
        >>> model = NormalMixture(GaussianPath(), one[:, None], one, one)
        >>> bound = evidence_bound(model, one[:, None])
        >>> bound.nats.shape, bound.nfe
        (torch.Size([1]), 16)
    """
    strata = Strata() if strata is None else strata
    path = model.path
    if path is None:
        raise ValueError(f"{type(model).__name__} has no path to be compared with")
    check_no_gradient("evidence_bound", z=z, model=model, condition=condition, levels=levels)
    _check(path, z, strata.end, levels)
    _check_source(model, path)
    terms = _Terms(Evaluation(model, condition), path, z, levels, rng)
    with torch.no_grad():
        path_term, path_variance = terms.path_term(strata)
        guess, guess_variance = terms.reconstruction(strata)
        error = (path_variance + guess_variance).sqrt()
        return EvidenceBound(_prior(path, z), path_term, guess, error, terms.model.nfe)


@dataclass(frozen=True)
class _Terms:
    """The terms that are estimated, each with the variance of its estimate."""

    model: Evaluation
    path: Any
    z: Tensor
    levels: Tensor | None
    rng: Rng

    def path_term(self, strata: Strata) -> tuple[Tensor, Tensor]:
        like = self.z if self.z.is_floating_point() else torch.empty(0, device=self.z.device)
        mean, variance = torch.zeros(()), torch.zeros(())
        for interval in range(strata.count):
            one, two = (self._rate(strata, interval, like) for _ in range(2))
            mean = mean + (one + two) / (2 * strata.count)
            variance = variance + ((one - two) / (2 * strata.count)) ** 2
        return mean, variance

    def _rate(self, strata: Strata, interval: int, like: Tensor) -> Tensor:
        t, weight = strata.draw(interval, len(self.z), self.rng, like)
        x = self.path.sample(self.z, t, self.rng)
        return weight * path_divergence(self.model(x, t), self.path, x, t, self.z)

    def reconstruction(self, strata: Strata) -> tuple[Tensor, Tensor]:
        draws = max(2, strata.count)
        found = torch.stack([self._guess(strata.end) for _ in range(draws)])
        return found.mean(0), found.var(0) / draws

    def _guess(self, t: float) -> Tensor:
        """Return -log p(z | x_t) at a draw of x_t."""
        if isinstance(self.path, MixturePath):
            return self._guess_elements(t)
        # Single precision would round sigma near t = 1.
        time, schedule = torch.tensor(t, dtype=torch.float64), self.path.schedule
        alpha, sigma = (value.to(self.z) for value in (schedule.alpha(time), schedule.sigma(time)))
        if self.levels is None:
            # E (x_t / alpha - z)^2 is known: nothing is drawn.
            each = 0.5 * (1 + math.log(2 * math.pi)) + (sigma / alpha).log()
            return each.expand_as(self.z).flatten(1).sum(1)
        x = self.path.sample(self.z, t, self.rng)
        levels = self.levels.to(self.z)
        odds = -0.5 * ((x[..., None] - alpha * levels) / sigma) ** 2
        index = (self.z[..., None] - levels).abs().argmin(-1, keepdim=True)
        return -odds.log_softmax(-1).gather(-1, index).flatten(1).sum(1)

    def _guess_elements(self, t: float) -> Tensor:
        """Guess from the posterior: z at the fraction of the hazard that jumps use, else x."""
        if t == 1:
            return torch.zeros(len(self.z), device=self.z.device)
        x = self.path.sample(self.z, t, self.rng)
        jump: Any = only_part(self.model(x, t))  # the rates have refused what is not a jump
        hazard = self.path.schedule.hazard(expand_time(t, jump.intensity))
        moves = jump.intensity * log_mass(jump.destination, self.z).exp()
        stays = (hazard - jump.intensity).clamp_min(0) * (x == self.z)
        log_posterior = (moves + stays).log() - torch.maximum(hazard, jump.intensity).log()
        return -_by_sample(log_posterior)


@singledispatch
def _prior(path: ConditionalPath, z: Tensor) -> Tensor:
    """Return KL(p_0(. | z) || p_0); a mixture path starts at its source."""
    return torch.zeros(len(z), device=z.device)


@_prior.register
def _(path: GaussianPath, z: Tensor) -> Tensor:
    start = torch.zeros((), dtype=z.dtype, device=z.device)
    mean, variance = path.schedule.alpha(start) * z, path.schedule.sigma(start) ** 2
    return _by_sample(0.5 * (mean**2 + variance - 1 - variance.log()))


def _by_sample(each: Tensor) -> Tensor:
    """Return the sum over the elements of each sample; a sample may be one element."""
    return each[:, None].flatten(1).sum(1)


def _check_source(model: Model, path: ConditionalPath) -> None:
    """Reject a Gaussian path from another source, and a flow whose score is not known."""
    if isinstance(path, GaussianPath):
        path.check_source("evidence_bound")
        if any(is_kind(kind, [Flow]) for kind in model.kinds):
            check_score(model, "evidence_bound of a flow")


@singledispatch
def _check(path: ConditionalPath, z: Tensor, end: float, levels: Tensor | None) -> None:
    """Reject a path without a bound, and data, levels and a last time that do not go with it."""
    raise LookupError(f"no evidence bound of {path}: use a GaussianPath or a MixturePath")


def _check_data(path: ConditionalPath, z: Tensor) -> None:
    path.space.check(z)
    if z.ndim != path.space.event_dim + 1:
        raise ValueError(f"z is (b, *event) of {path.space}, not {tuple(z.shape)}")


@_check.register
def _(path: MixturePath, z: Tensor, end: float, levels: Tensor | None) -> None:
    _check_data(path, z)
    if levels is not None:
        raise ValueError("levels are for the Gaussian path; jumps of a mixture path know theirs")


@_check.register
def _(path: GaussianPath, z: Tensor, end: float, levels: Tensor | None) -> None:
    _check_data(path, z)
    if end == 1:
        raise ValueError("on a Gaussian path the last time is before 1, where sigma is 0")
    if levels is not None:
        if levels.numel() < 2 or not bool((levels.diff() > 0).all()):
            raise ValueError(f"levels are at least two numbers that rise, not {levels.tolist()}")
        away = (z[..., None] - levels.to(z)).abs().amin(-1).max()
        if away > 1e-3 * levels.diff().min():
            raise ValueError(f"z lies on the levels, not {float(away):.3g} from the nearest")
