r"""Losses on tokens: means over a sequence of the terms of `elbo`, in nats a token.

- **cross-entropy** :math:`-\log p(x | x_t)` where the state may still be noise. For a mask source
  and kappa uniform on [0, 1], its mean over the masks of each sequence is, in expectation, the
  bound itself: the number of masks is then uniform on 0 ... n, and no weight can explode.
- **bounds**, forward or reverse: terms per unit of kappa, times kappa_dot. With uniform times their
  expectation is an upper bound of :math:`-\log p(x)`, per token.

Source: the identity that stratifies by the number of masks, Ou et al., arXiv 2406.03736.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feller.core.checks import check_choices, check_times
from feller.core.config import tagged
from feller.core.discrete.chunked_logits import Reading
from feller.core.discrete.elbo import cross_entropy, forward_bound, reverse_bound
from feller.core.discrete.kernel import Kernel, log_source
from feller.core.losses import Loss, Sample, check_path
from feller.core.paths import ConditionalPath
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["Bound", "CrossEntropy"]


@tagged("text/cross_entropy")
@dataclass(frozen=True)
class CrossEntropy(Loss):
    """The cross-entropy of the posterior.

    Attributes:
        mean: Over which tokens of a sequence: those that may be noise (`noise`), or all (`all`),
            the others counting as zero.
    """

    mean: Literal["noise", "all"] = "noise"

    def __post_init__(self) -> None:
        """Refuse an unknown name."""
        check_choices(self)

    def __call__(
        self,
        model: Any,
        path: ConditionalPath,
        z: Tensor,
        t: Time,
        x_t: Tensor,
        *,
        condition: Any = None,
    ) -> Float[Tensor, " b"]:
        """Return the mean of each sequence; 0 for one without noise."""
        each, where = _terms(cross_entropy, model, path, Sample(z, t, x_t), condition)
        counts = where.sum(1).clamp_min(1) if self.mean == "noise" else z.shape[1]
        return _sum_rows(each, where) / counts


@tagged("text/bound")
@dataclass(frozen=True)
class Bound(Loss):
    """A bound on the negative log-likelihood, per token.

    Attributes:
        chain: Of which chain given the data: the one that jumps to them once (`forward`), or that
            of the noise run backward (`reverse`), which is tighter.
    """

    chain: Literal["forward", "reverse"] = "reverse"

    def __post_init__(self) -> None:
        """Refuse an unknown name."""
        check_choices(self)

    def __call__(
        self,
        model: Any,
        path: ConditionalPath,
        z: Tensor,
        t: Time,
        x_t: Tensor,
        *,
        condition: Any = None,
    ) -> Float[Tensor, " b"]:
        """Return kappa_dot times the terms of each sequence, over its length."""
        term = forward_bound if self.chain == "forward" else reverse_bound
        each, where = _terms(term, model, path, Sample(z, t, x_t), condition)
        speed = path.schedule.alpha_dot(expand_time(t, x_t).float()).expand(x_t.shape)[where]
        return _sum_rows(speed * each, where) / z.shape[1]


def _terms(
    term: Any,
    model: Any,
    path: ConditionalPath,
    sample: Sample,
    condition: Any,
) -> tuple[Float[Tensor, " m"], Bool[Tensor, "b n"]]:
    """Return a term of each token that may be noise, and where these are."""
    z, t, x_t = sample
    check_times(t)
    check_path(model, path)
    law = log_source(path.source, path.space.size).to(z.device)  # pyright: ignore
    where = law[x_t] > -torch.inf
    data, state = z[where], x_t[where]
    # In float64: some schedules round 1 - kappa, of which a log is taken, to 0 in float32.
    kappa = path.schedule.alpha(expand_time(t, x_t).double()).expand(x_t.shape)[where]
    known = getattr(model, "module", model).parametrization  # under the wrapper of its group

    def function(logits: Tensor, part: slice) -> Tensor:
        found = term(logits, data[part], state[part], Kernel(kappa[part], law), known)
        return found.float()

    return model(x_t, t, condition, reading=Reading(function, where)), where


def _sum_rows(each: Tensor, where: Tensor) -> Tensor:
    """Sum numbers of the tokens in `where` over each row."""
    rows = torch.zeros(where.shape, dtype=each.dtype, device=each.device)
    return rows.masked_scatter(where, each).sum(1)
