r"""Losses on tokens: means over a sequence of the terms of `elbo`, in nats a token.

- **cross-entropy** :math:`-\log p(x | x_t)` where the state may still be noise. For a mask source
  and kappa uniform on [0, 1], its mean over the masks of each sequence is, in expectation, the
  bound itself: the number of masks is then uniform on 0 ... n, and no weight can explode.
- **bounds**, forward or reverse: terms per unit of kappa, times kappa_dot. With uniform times their
  expectation is an upper bound of :math:`-\log p(x)`, per token.

Source: the identity that stratifies by the number of masks, Ou et al., arXiv 2406.03736.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feller.core.checks import check_choices, check_times, readable
from feller.core.config import tagged
from feller.core.discrete.chunked_logits import Reading
from feller.core.discrete.elbo import Rows, cross_entropy, forward_bound, reverse_bound
from feller.core.discrete.kernel import Kernel, log_source
from feller.core.discrete.models import PosteriorTokens
from feller.core.losses import Loss, check_path
from feller.core.spaces import Tokens
from feller.core.times import expand_time

__all__ = ["Bound", "CrossEntropy"]


class _TokenLoss(Loss):
    """A term of each token that may be noise, reduced over each sequence."""

    @abstractmethod
    def _term(self, rows: Rows) -> Tensor:
        """Return the term of each row."""

    @abstractmethod
    def _reduce(self, each: Tensor, noise: Bool[Tensor, "b n"], speed: Tensor) -> Tensor:
        """Return the loss of each sequence from the terms where it may be noise, and kappa_dot."""

    def __call__(
        self, model: Any, path: Any, z: Tensor, t: Any, x_t: Tensor, *, condition: Any = None
    ) -> Float[Tensor, " b"]:
        """Return the loss of each sequence; 0 for one without noise.

        Raises:
            ValueError: When states are not tokens of the path, or the model's generator is not a
                jump along it.
        """
        check_times(t)
        check_path(model, path)
        if not isinstance(path.space, Tokens):
            raise ValueError(f"{type(self).__name__} is a loss of Tokens, not of {path.space}")
        for tokens in (z, x_t):
            if readable(tokens):
                path.space.check(tokens)
        log_pi = log_source(path.source, path.space.size).to(z.device)
        noise, time = log_pi[x_t] > -torch.inf, expand_time(t, x_t)
        data, state = z[noise], x_t[noise]
        # In float64: some schedules round 1 - kappa, of which a log is taken, to 0 in float32.
        kappa = path.schedule.alpha(time.double()).expand(x_t.shape)[noise]
        speed = path.schedule.alpha_dot(time.float()).expand(x_t.shape)[noise]
        bare = getattr(model, "module", model)  # under the wrapper of its group
        reads = hasattr(bare, "parametrization")
        tokens = bare if reads else PosteriorTokens(bare, z.shape[1:])
        known = tokens.parametrization

        def function(logits: Tensor, part: slice) -> Tensor:
            kernel = Kernel(kappa[part], log_pi)
            return self._term(Rows(logits, data[part], state[part], kernel, known)).float()

        if reads:  # its logits a part at a time
            each = model(x_t, t, condition, reading=Reading(function, noise))
        else:
            logits = tokens.read(model(x_t, t, condition), x_t, t)
            each = function(logits[noise], slice(None))
        return self._reduce(each, noise.flatten(1), speed)


@tagged("text/cross_entropy")
@dataclass(frozen=True)
class CrossEntropy(_TokenLoss):
    """The cross-entropy of the posterior.

    Attributes:
        mean: Over which tokens of a sequence: those that may be noise (`noise`), or all (`all`),
            with zero for the others.
    """

    mean: Literal["noise", "all"] = "noise"

    def __post_init__(self) -> None:
        """Check the name."""
        check_choices(self)

    def _term(self, rows: Rows) -> Tensor:
        return cross_entropy(rows)

    def _reduce(self, each: Tensor, noise: Tensor, speed: Tensor) -> Tensor:
        counts = noise.sum(1).clamp_min(1) if self.mean == "noise" else noise.shape[1]
        return _sum_rows(each, noise) / counts


@tagged("text/bound")
@dataclass(frozen=True)
class Bound(_TokenLoss):
    """A bound on the negative log-likelihood, per token.

    Attributes:
        chain: Which chain given the data: the one that jumps to them once (`forward`), or the
            reversed noising chain (`reverse`), which is tighter.
    """

    chain: Literal["forward", "reverse"] = "reverse"

    def __post_init__(self) -> None:
        """Check the name."""
        check_choices(self)

    def _term(self, rows: Rows) -> Tensor:
        return forward_bound(rows) if self.chain == "forward" else reverse_bound(rows)

    def _reduce(self, each: Tensor, noise: Tensor, speed: Tensor) -> Tensor:
        return _sum_rows(speed * each, noise) / noise.shape[1]


def _sum_rows(each: Tensor, where: Tensor) -> Tensor:
    """Sum numbers of the tokens in `where` over each row."""
    rows = torch.zeros(where.shape, dtype=each.dtype, device=each.device)
    return rows.masked_scatter(where, each).sum(1)
