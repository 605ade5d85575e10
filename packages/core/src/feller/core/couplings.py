"""Couplings: which source sample is joined to which data point in a batch.

A coupling permutes the source samples, so that data and their conditions stay where they are. Any
coupling whose two marginals are the source and the data gives a valid conditional path. Given a
condition, only the independent one keeps the source what it is: training with conditions takes no
other. Pairs are made within a micro-batch.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.config import tagged

__all__ = ["Coupling", "IndependentCoupling", "MinibatchOT"]


class Coupling(ABC):
    """A rule that pairs the rows of two batches."""

    @abstractmethod
    def __call__(
        self, x_0: Float[Tensor, "b *event"], x_1: Float[Tensor, "b *event"]
    ) -> Float[Tensor, "b *event"]:
        """Return `x_0` with its rows in the order of their partners in `x_1`."""


@tagged("independent")
@dataclass(frozen=True)
class IndependentCoupling(Coupling):
    """Pairs as drawn."""

    def __call__(
        self,
        x_0: Float[Tensor, "b *event"],
        x_1: Float[Tensor, "b *event"],
    ) -> Float[Tensor, "b *event"]:
        """Return `x_0` unchanged."""
        return x_0


@tagged("minibatch_ot")
@dataclass(frozen=True)
class MinibatchOT(Coupling):
    """The pairing of least total squared distance within the batch: exact optimal transport.

    Every row is used once. Source: Pooladian et al., arXiv 2304.14772; Tong et al., arXiv
    2302.00482.

    Example:
        >>> x = torch.arange(4.0)[:, None]
        >>> MinibatchOT()(x.flip(0), x).flatten()
        tensor([0., 1., 2., 3.])
    """

    def __call__(
        self, x_0: Float[Tensor, "b *event"], x_1: Float[Tensor, "b *event"]
    ) -> Float[Tensor, "b *event"]:
        """Return `x_0` in the order that minimises the sum of |x_0 - x_1|^2."""
        from scipy.optimize import linear_sum_assignment

        # The squared norms are the same for every permutation: only the inner products count.
        score = x_1.flatten(1) @ x_0.flatten(1).T
        _, order = linear_sum_assignment(score.detach().cpu().numpy(), maximize=True)
        return x_0[torch.from_numpy(order).to(x_0.device)]
