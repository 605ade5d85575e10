r"""Upper bounds on -log p(x), as the nats that one position adds per unit of kappa.

For data x, a state z ~ q_kappa(. | x) and a model's view of x, each bound is

.. math:: -\log p(x) \le \int_0^1 \mathrm{E} \sum_i \mathrm{term}_i \, d\kappa,

which no schedule enters; a loss at time t has the weight kappa_dot. There are two, since the path
has two chains (notation of `kernel`; p the posterior, p~ the leave-one-out distribution):

- **forward**, whose element jumps to x once, at hazard 1 / (1 - kappa):
  :math:`(1[z = x] - p(z) - 1[z \ne x] \log p(x)) / (1 - \kappa)`, the generalized KL of its rates.
  Valid for every source and loose where the source draws data, since which tokens have jumped is
  not seen: its chain given x is no longer Markov.
- **reverse**, the noising chain run backward: :math:`r(z) / q(z|x) [KL(q(.|x), q(.|\tilde p)) +
  IS(q(z|x), q(z|\tilde p))]` with :math:`IS(a, b) = a/b - 1 - \log(a/b)`. Exact at the optimum.

For the mask source both are the cross-entropy of a masked token over 1 - kappa, and 0 elsewhere.

Source: Generator Matching, arXiv 2410.20587, section 6 and Campbell et al., arXiv 2205.14987; the
form with KL + IS, von Rütte et al., arXiv 2503.04482; for a uniform source, arXiv 2412.10193.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core.discrete.kernel import Kernel
from feller.core.discrete.parametrizations import TokenParametrization

__all__ = ["Rows", "cross_entropy", "forward_bound", "noise_overlap", "reverse_bound"]

CHUNK = 4096
"""Ids looked at together, so that a bound needs little memory beside the logits."""

Terms = Float[Tensor, " m"]


@dataclass(frozen=True)
class Rows:
    """Inputs of the terms, one row for each position.

    Attributes:
        logits: Logits of the ids that are predicted.
        x: The data.
        z: The state.
        kernel: The distribution at each row's kappa.
        parametrization: What the logits are.
    """

    logits: Float[Tensor, "m v"]
    x: Int[Tensor, " m"]
    z: Int[Tensor, " m"]
    kernel: Kernel
    parametrization: TokenParametrization

    @cached_property
    def decided(self) -> Bool[Tensor, " m"]:
        """Where the state is known to be data: what is infinite there is left out."""
        return self.kernel.decided(self.z)

    @cached_property
    def log_noise(self) -> Terms:
        """Log g(z)."""
        return torch.where(self.decided, 0.0, self.kernel.log_noise(self.z))

    @property
    def log_kappa(self) -> Terms:
        """Log kappa, in float64."""
        return self.kernel.kappa.to(self.log_noise).log()

    def shift(self, asked: TokenParametrization) -> Terms | None:
        """Return what the logits lack at the entry z to be those that are asked for."""
        if self.parametrization == asked:
            return None
        evidence = torch.where(self.decided, 0.0, self.kernel.evidence(self.z))
        return evidence if asked == "posterior" else -evidence

    def read(self, asked: TokenParametrization) -> tuple[Terms, Terms, Terms]:
        """Return log-probabilities at x and z, and the normalizer of the logits, in float64."""
        total, known = self.logits.logsumexp(-1).double(), self.z < self.logits.shape[-1]
        at_x, at_z = (
            (self.logits.gather(-1, y[:, None])[:, 0] - total).clamp_max(0)  # rounding: p > 1
            for y in (self.x, torch.where(known, self.z, 0))
        )
        at_z = torch.where(known, at_z, -torch.inf)
        shift = self.shift(asked)
        if shift is None:
            return at_x, at_z, total
        more = torch.log1p(at_z.exp() * torch.expm1(shift))
        at_x = at_x - more + torch.where(self.x == self.z, shift, 0.0)
        return at_x, at_z - more + shift, total + more


def cross_entropy(rows: Rows) -> Terms:
    """Return -log p(x), the posterior's; 0 where z is decided.

    Not a bound, but it has the same minimum.
    """
    return torch.where(rows.decided, 0.0, -rows.read("posterior")[0])


def forward_bound(rows: Rows) -> Terms:
    """Return the forward term, nats per unit of kappa, for kappa below 1.

    Example:
        >>> from feller.core.sources import Masked
        >>> from feller.core.discrete.kernel import log_source
        >>> kernel = Kernel(torch.tensor([0.5]), log_source(Masked(2), 3))
        >>> x, mask = torch.tensor([0]), torch.tensor([2])
        >>> forward_bound(Rows(torch.zeros(1, 2), x, mask, kernel, "posterior"))  # 2 log 2
        tensor([1.3863], dtype=torch.float64)
    """
    at_x, at_z, _ = rows.read("posterior")
    gap = torch.where(rows.x == rows.z, -torch.expm1(at_z), -at_z.exp() - at_x)
    return torch.where(rows.decided, 0.0, gap / (1 - rows.kernel.kappa))


def reverse_bound(rows: Rows) -> Terms:
    """Return the reverse-noising term, nats per unit of kappa, for kappa inside (0, 1).

    Example:
        >>> from feller.core.sources import UniformTokens
        >>> from feller.core.discrete.kernel import log_source
        >>> kernel = Kernel(torch.tensor([0.5]), log_source(UniformTokens(2), 2))
        >>> x, z = torch.tensor([0]), torch.tensor([1])
        >>> reverse_bound(Rows(torch.zeros(1, 2), x, z, kernel, "leave_one_out"))
        tensor([1.2958], dtype=torch.float64)
    """
    at_x, at_z, normalizer = rows.read("leave_one_out")
    ratio = rows.log_kappa - rows.log_noise
    gain = torch.where(rows.x == rows.z, F.softplus(ratio), 0.0) - F.softplus(at_z + ratio)
    log_noise, matched = rows.kernel.log_noise(rows.x), rows.kernel.log_prob(rows.x, rows.x)
    found = torch.logaddexp(at_x + rows.log_kappa, log_noise)
    # KL(q(.|x), q(.|p~)): the mask weighs the same in both, so only tokens enter.
    divergence = (
        matched.exp() * (matched - found)
        - _overlap(rows, normalizer, at_z)
        + _excess(at_x + rows.log_kappa, log_noise)
    )
    weight = rows.kernel.log_source[rows.z] - rows.log_kappa - rows.kernel.log_prob(rows.z, rows.x)
    term = weight.exp() * (divergence + torch.expm1(gain) - gain)
    return torch.where(rows.decided, 0.0, term)


def noise_overlap(
    logits: Float[Tensor, "m v"], normalizer: Terms, offset: Terms, log_source: Float[Tensor, " v"]
) -> Terms:
    r"""Return :math:`\sum_y \pi(y) \log(1 + e^{o} \tilde p(y) / \pi(y))`, a chunk of ids at a time.

    With o = log kappa - log(1 - kappa) it is what the whole vocabulary adds to a KL between two
    distributions q_kappa. The backward pass computes again rather than keep.

    Args:
        logits: log p~ of each id up to the row's normalizer.
        normalizer: What to take from the logits; p~ need not sum to one.
        offset: o.
        log_source: log pi of the same ids; where it is minus infinity an id adds nothing.
    """
    return _NoiseOverlap.apply(logits, normalizer, offset, log_source)  # type: ignore[no-any-return]


def _overlap(rows: Rows, normalizer: Tensor, at_z: Tensor) -> Tensor:
    """Return the sum over tokens y of g(y) log(1 + kappa p~(y) / g(y))."""
    log_source = rows.kernel.log_source[: rows.logits.shape[-1]]
    if not log_source.isfinite().any():
        return torch.zeros_like(normalizer)
    log_rest = torch.log1p(-rows.kernel.kappa.to(log_source))
    spread = noise_overlap(rows.logits, normalizer, rows.log_kappa - log_rest, log_source)
    spread, shift = log_rest.exp() * spread, rows.shift("leave_one_out")
    if shift is None:
        return spread
    # The logits lack the shift at z: the entry there is exchanged.
    level = at_z + rows.log_kappa
    return spread + _excess(level, rows.log_noise) - _excess(level - shift, rows.log_noise)


def _excess(log_data: Tensor, log_noise: Tensor) -> Tensor:
    """Return g log(1 + e^log_data / g), which is 0 at g = 0."""
    some = log_noise > -torch.inf
    safe = torch.where(some, log_noise, 0.0)
    return torch.where(some, safe.exp() * F.softplus(log_data - safe), 0.0)


class _NoiseOverlap(torch.autograd.Function):
    """`noise_overlap`, differentiable in the logits and the normalizer."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        """Sum chunk by chunk."""
        ctx.save_for_backward(*inputs)
        normalizer = inputs[1]
        total = torch.zeros_like(normalizer)
        for _, pi, level in _chunks(*inputs):
            # No matrix product: its rounding varies with the batch.
            total += F.softplus(level).mul_(pi).sum(-1).to(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return pi(y) sigmoid of each level, and minus their sum for the normalizer."""
        inputs = ctx.saved_tensors
        grad, slope = grads[0].to(inputs[0])[:, None], torch.empty_like(inputs[0])
        for ids, pi, level in _chunks(*inputs):
            torch.mul(level.sigmoid_() * pi, grad, out=slope[:, ids])
        return slope, -slope.sum(-1).to(inputs[1]), None, None


def _chunks(
    logits: Tensor, normalizer: Tensor, offset: Tensor, log_source: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield ids, pi, and the level o + log p~ - log pi of each row: a new tensor each time."""
    base = (offset - normalizer).to(logits)[:, None]
    for start in range(0, logits.shape[-1], CHUNK):
        ids = slice(start, start + CHUNK)
        pi = log_source[ids].exp()
        log_pi = torch.where(pi > 0, log_source[ids], 0.0)
        yield ids, pi.to(logits), logits[:, ids] + base - log_pi.to(logits)
