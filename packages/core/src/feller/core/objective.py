"""The objective: E D(L_t^z, L_t^theta), the one loss that trains every generator.

The conditional loss has the gradient of the marginal one when D is a Bregman divergence (Generator
Matching, arXiv 2410.20587, proposition 2). Weights may depend on t and x_t, never on z (arXiv
2511.16599): time laws and loss spaces are such weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.config import tagged
from feller.core.coordinates import posterior_of, rates, vectors
from feller.core.divergences import BregmanDivergence, GeneralizedKL, SquaredNorm
from feller.core.generators import FromPosterior, Generator, Jump, Product, Superposition
from feller.core.models import Model
from feller.core.parametrizations import Parametrization
from feller.core.paths import ConditionalPath
from feller.core.solutions import solution
from feller.core.typing import Time

__all__ = ["Loss", "Objective"]


class Loss(ABC):
    """What training makes small: the loss of each sample at (x_t, t)."""

    @abstractmethod
    def __call__(
        self,
        model: Model,
        path: ConditionalPath,
        z: Tensor,
        t: Time,
        x_t: Tensor,
        *,
        condition: Any = None,
    ) -> Float[Tensor, " b"]:
        """Return the loss of each sample, given the data point z it comes from."""


@tagged("objective")
@dataclass(frozen=True)
class Objective(Loss):
    """A divergence between the conditional and the predicted generator.

    The parts of a superposition are trained each for itself, and their losses added: weights count
    only when it is simulated. The losses of the factors of a product add, too.

    Attributes:
        divergence: The Bregman divergence of flows and diffusions.
        loss_space: For flows, the parametrization in which they are compared, whatever the network
            predicts.
        jump_divergence: The Bregman divergence of jumps and posteriors.

    Example:
        >>> from feller.core.generators import Flow
        >>> from feller.core.posteriors import FiniteData
        >>> from feller.core.paths import GaussianPath
        >>> path, z = GaussianPath(), torch.ones(4, 2)
        >>> model = FiniteData(path, Flow, torch.ones(1, 2))  # knows the data
        >>> Objective()(model, path, z, 0.5, torch.zeros(4, 2))
        tensor([0., 0., 0., 0.])
    """

    divergence: BregmanDivergence = field(default_factory=SquaredNorm)
    loss_space: Parametrization = "velocity"
    jump_divergence: BregmanDivergence = field(default_factory=GeneralizedKL)

    def __call__(
        self,
        model: Model,
        path: Any,
        z: Any,
        t: Any,
        x_t: Any,
        *,
        condition: Any = None,
    ) -> Float[Tensor, " b"]:
        """Return the loss of each sample: the mean of the divergence over its coordinates."""
        return self._compare(model(x_t, t, condition), path, z, t, x_t)

    def _compare(self, predicted: Generator, path: Any, z: Any, t: Any, x: Any) -> Tensor:
        if isinstance(predicted, Superposition):
            parts = [self._compare(p.generator, path, z, t, x) for p in predicted.parts]
            return torch.stack(parts).sum(0)
        if isinstance(predicted, Product):
            clocks = t if isinstance(t, Mapping) else dict.fromkeys(predicted.factors, t)
            factors = [
                self._compare(g, path.factors[n], z[n], clocks[n], x[n])
                for n, g in predicted.factors.items()
            ]
            return torch.stack(factors).sum(0)
        if isinstance(predicted, FromPosterior):
            target, ours = posterior_of(z, predicted)
            return self.jump_divergence(target, ours).sum(-1).flatten(1).mean(1)
        target = solution(path, type(predicted))(path, x, t, z)
        if isinstance(predicted, Jump) and isinstance(target, Jump):
            cells = predicted.destination
            theirs, ours = (rates(jump, cells, path, x, t) for jump in (target, predicted))
            return self.jump_divergence(theirs, ours).sum(-1).flatten(1).mean(1)
        theirs, ours = (vectors(g, self.loss_space, path, x, t) for g in (target, predicted))
        if ours.shape != theirs.shape:
            raise ValueError(
                f"the model returns {tuple(ours.shape)}, the target is {tuple(theirs.shape)}"
            )
        return self.divergence(theirs, ours).flatten(1).mean(1)
