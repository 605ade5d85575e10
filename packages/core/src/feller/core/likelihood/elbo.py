r"""The ELBO of any model: one bound on log p, whatever the space and the path.

- **Tokens** on a mixture path: the estimator of `feller.core.discrete.likelihood`, without a time
  step, from the posterior that the model stands for.
- **Numbers**, and all else: `evidence_bound`, which integrates the divergence of paths over strata
  of time and adds what is left to guess at the last. What only it takes (levels of the data, the
  last time) is for those who call it.

Both are unbiased estimates of a lower bound. A factor of a product given the others is a model too:
`feller.core.discrete.factors.Factor`.
"""

from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from feller.core.checks import check_no_gradient
from feller.core.discrete.likelihood import drawn_bounds
from feller.core.likelihood.bound import EvidenceBound, Strata, evidence_bound
from feller.core.typing import Rng

__all__ = ["elbo"]


def elbo(
    model: Any,
    z: Tensor,
    rng: Rng = None,
    *,
    draws: int = 16,
    counted: Bool[Tensor, "b *event"] | None = None,
    condition: Any = None,
) -> EvidenceBound:
    """Estimate the ELBO of each sample, in nats, with its standard error.

    Args:
        model: A model of one kind of generator with a `path`, or a token model.
        z: Data `(b, *event)`.
        rng: Where noise comes from; for tokens, with one generator a row, a row is the same in any
            batch.
        draws: Noisy states of each sample, a network call each; one has no standard error.
        counted: On tokens, whose likelihood it is, given the rest; all if None.
        condition: An entry for each sample, or one for all.

    Returns:
        The bound: `nats` a sample, at most log p, their `error`, and `nfe`, the draws. Of numbers
        nats are those of a density: `bits_per_dimension` turns them into bits.

    Raises:
        LookupError: When the path has no bound.
        ValueError: When there are no draws, `counted` is given for numbers, or `z` is not of the
            space.

    Example:
        >>> from feller.core.heads import PosteriorHead
        >>> from feller.core.models import GeneratorModel
        >>> from feller.core.paths import MixturePath
        >>> from feller.core.sources import Masked
        >>> from feller.core.spaces import Tokens
        >>> network = lambda x, t, condition: torch.zeros(*x.shape, 4)  # each of four as likely
        >>> model = GeneratorModel(network, MixturePath(Tokens(5), Masked(4)), PosteriorHead(4))
        >>> bound = elbo(model, torch.zeros(1, 3, dtype=torch.int64))
        >>> bound.nats.float(), bound.error.float()  # -3 log 4
        (tensor([-4.1589]), tensor([0.]))
    """
    if draws < 1:
        raise ValueError(f"at least one draw, not {draws}")
    if not model.path.space.is_discrete:
        if counted is not None:
            raise ValueError("counted is for tokens: a bound on numbers is of all of them")
        strata = Strata(count=max(1, draws // 2))
        return evidence_bound(model, z, strata=strata, rng=rng, condition=condition)
    check_no_gradient("elbo", model=model, condition=condition)
    costs = drawn_bounds(model, z, rng, draws=draws, counted=counted, condition=condition)
    none, error = torch.zeros_like(costs[0]), torch.full_like(costs[0], torch.inf)
    if draws > 1:
        error = ((costs - costs.mean(0)).square().sum(0) / (draws - 1) / draws).sqrt()
    return EvidenceBound(none, costs.mean(0), none, error, draws)
