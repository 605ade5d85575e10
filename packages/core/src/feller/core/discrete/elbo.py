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
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from feller.core.discrete.kernel import Kernel
from feller.core.discrete.parametrizations import TokenParametrization

__all__ = ["cross_entropy", "forward_bound", "noise_overlap", "reverse_bound"]

CHUNK = 4096
"""Ids looked at together, so that a bound needs little memory beside the logits."""

Logits = Float[Tensor, "m v"]
Tokens = Int[Tensor, " m"]
Terms = Float[Tensor, " m"]


def cross_entropy(
    logits: Logits, x: Tokens, z: Tokens, kernel: Kernel, parametrization: TokenParametrization
) -> Terms:
    """Return -log p(x), the posterior's; 0 where z is decided.

    Not a bound, but it has the same minimum.

    Args:
        logits: A row for each position, of the ids that are predicted.
        x: The data.
        z: The state.
        kernel: The law at each row's kappa.
        parametrization: What the logits are.
    """
    read = _read(logits, x, z, kernel)
    shift = 0.0 if parametrization == "posterior" else read.evidence
    return torch.where(read.decided, 0.0, -read.shifted(shift)[0])


def forward_bound(
    logits: Logits, x: Tokens, z: Tokens, kernel: Kernel, parametrization: TokenParametrization
) -> Terms:
    """Return the forward term, nats per unit of kappa, for kappa below 1.

    Args:
        logits: A row for each position, of the ids that are predicted.
        x: The data.
        z: The state.
        kernel: The law at each row's kappa.
        parametrization: What the logits are.

    Example:
        >>> from feller.core.sources import Masked
        >>> from feller.core.discrete.kernel import log_source
        >>> kernel = Kernel(torch.tensor([0.5]), log_source(Masked(2), 3))
        >>> x, mask = torch.tensor([0]), torch.tensor([2])
        >>> forward_bound(torch.zeros(1, 2), x, mask, kernel, "posterior").float()  # 2 log 2
        tensor([1.3863])
    """
    read = _read(logits, x, z, kernel)
    shift = 0.0 if parametrization == "posterior" else read.evidence
    at_x, at_z, _ = read.shifted(shift)
    gap = torch.where(x == z, -torch.expm1(at_z), -at_z.exp() - at_x)
    return torch.where(read.decided, 0.0, gap / (1 - kernel.kappa))


def reverse_bound(
    logits: Logits, x: Tokens, z: Tokens, kernel: Kernel, parametrization: TokenParametrization
) -> Terms:
    """Return the reverse-noising term, nats per unit of kappa, for kappa inside (0, 1).

    Args:
        logits: A row for each position, of the ids that are predicted.
        x: The data.
        z: The state.
        kernel: The law at each row's kappa.
        parametrization: What the logits are.

    Example:
        >>> from feller.core.sources import UniformTokens
        >>> from feller.core.discrete.kernel import log_source
        >>> kernel = Kernel(torch.tensor([0.5]), log_source(UniformTokens(2), 2))
        >>> x, z = torch.tensor([0]), torch.tensor([1])
        >>> reverse_bound(torch.zeros(1, 2), x, z, kernel, "leave_one_out").float()
        tensor([1.2958])
    """
    read = _read(logits, x, z, kernel)
    shift = None if parametrization == "leave_one_out" else -read.evidence
    at_x, at_z, normalizer = read.shifted(0.0 if shift is None else shift)
    ratio_z = read.log_kappa - read.log_noise_z
    gain = torch.where(x == z, F.softplus(ratio_z), 0.0) - F.softplus(at_z + ratio_z)
    divergence = _divergence(read, logits, (at_x, at_z, normalizer), shift)
    weight = kernel.log_source[z] - read.log_kappa - kernel.log_prob(z, x)
    term = weight.exp() * (divergence + torch.expm1(gain) - gain)
    return torch.where(read.decided, 0.0, term)


def noise_overlap(
    logits: Logits, normalizer: Terms, offset: Terms, log_source: Float[Tensor, " v"]
) -> Terms:
    r"""Return :math:`\sum_y \pi(y) \log(1 + e^{o} \tilde p(y) / \pi(y))`, a chunk of ids at a time.

    With o = log kappa - log(1 - kappa) it is what the whole vocabulary adds to a KL between two
    laws q_kappa. The backward pass computes again rather than keep.

    Args:
        logits: log p~ of each id up to the row's normalizer.
        normalizer: What to take from the logits; p~ need not sum to one.
        offset: o.
        log_source: log pi of the same ids; where it is minus infinity an id adds nothing.
    """
    return _NoiseOverlap.apply(logits, normalizer, offset, log_source)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Rows:
    """What the terms need of each row."""

    x: Tensor
    z: Tensor
    at_x: Tensor
    at_z: Tensor
    total: Tensor
    kernel: Kernel
    decided: Tensor
    evidence: Tensor
    log_noise_z: Tensor

    @property
    def log_kappa(self) -> Tensor:
        return self.kernel.kappa.to(self.log_noise_z).log()

    def shifted(self, shift: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probabilities at x and z, and the normalizer, after a shift at the entry z."""
        shift = torch.as_tensor(shift, dtype=self.at_z.dtype, device=self.at_z.device)
        more = torch.log1p(self.at_z.exp() * torch.expm1(shift))
        at_x = self.at_x - more + torch.where(self.x == self.z, shift, 0.0)
        return at_x, self.at_z - more + shift, self.total + more


def _read(logits: Tensor, x: Tensor, z: Tensor, kernel: Kernel) -> _Rows:
    """Gather what the terms need, in float64; what is infinite where z is decided is left out."""
    total = logits.logsumexp(-1).double()
    decided, known = kernel.decided(z), z < logits.shape[-1]
    at_x, at_z = (
        (logits.gather(-1, y[:, None])[:, 0] - total).clamp_max(0)  # rounding may say p > 1
        for y in (x, torch.where(known, z, 0))
    )
    return _Rows(
        x,
        z,
        at_x,
        torch.where(known, at_z, -torch.inf),
        total,
        kernel,
        decided,
        torch.where(decided, 0.0, kernel.evidence(z)),
        torch.where(decided, 0.0, kernel.log_noise(z)),
    )


def _divergence(
    read: _Rows, logits: Tensor, law: tuple[Tensor, Tensor, Tensor], shift: Tensor | None
) -> Tensor:
    """Return KL(q(.|x), q(.|p~)); the mask weighs the same in both, so only tokens enter."""
    at_x, at_z, normalizer = law
    log_noise_x = read.kernel.log_noise(read.x)
    matched = read.kernel.log_prob(read.x, read.x)
    found = torch.logaddexp(at_x + read.log_kappa, log_noise_x)
    return (
        matched.exp() * (matched - found)
        - _overlap(read, logits, normalizer, shift, at_z)
        + _share(at_x + read.log_kappa, log_noise_x)
    )


def _overlap(
    read: _Rows, logits: Tensor, normalizer: Tensor, shift: Tensor | None, at_z: Tensor
) -> Tensor:
    """Return the sum over tokens y of g(y) log(1 + kappa p~(y) / g(y))."""
    log_source = read.kernel.log_source[: logits.shape[-1]]
    if not log_source.isfinite().any():
        return torch.zeros_like(normalizer)
    log_rest = torch.log1p(-read.kernel.kappa.to(log_source))
    spread = noise_overlap(logits, normalizer, read.log_kappa - log_rest, log_source)
    spread = log_rest.exp() * spread
    if shift is None:
        return spread
    # The logits lack the shift at z: the entry there is exchanged.
    level = at_z + read.log_kappa
    return spread + _share(level, read.log_noise_z) - _share(level - shift, read.log_noise_z)


def _share(log_data: Tensor, log_noise: Tensor) -> Tensor:
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
            total += (
                F.softplus(level).mul_(pi).sum(-1).to(total)
            )  # a matrix product varies with the batch
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
