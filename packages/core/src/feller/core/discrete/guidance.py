r"""Guidance of token chains: the distribution that is drawn from, bent towards a condition.

- **Classifier-free**: :math:`\log p = \log p_0 + \gamma (\log p_c - \log p_0)`, normalised again.
  It may be done to the posterior or to the leave-one-out distribution: they differ by what the
  state says for itself, which the weights, that sum to one, pass through.
- **By a predictor** of the condition: a jump that puts y where z is has its rate multiplied by
  p(c | with y) / p(c | with z). One gradient with respect to the embedded state gives the log of
  that ratio for every y to first order; exact where the predictor is linear in the embedding.

Both bend where a jump goes, and leave its probability alone.

With a mask source the first is the rule of Schiff et al., arXiv 2412.10193 (D-CFG), and the
normalised form of the rates of Nisonoff et al., arXiv 2406.01572, which also change the probability
of a jump, by the sum of :math:`p_c^\gamma p_0^{1 - \gamma}`. With a uniform source both papers have
another rule, which bends whole transitions, staying among them: that is
`feller.core.discrete.solvers.GuidedAncestral`.
"""

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feller.core.derived import DerivedModel
from feller.core.discrete.models import States, TokenModel, Where
from feller.core.guidance import extrapolate
from feller.core.times import expand_time

__all__ = ["ClassifierFree", "PredictorGuided"]

Predictor = Callable[[Float[Tensor, "b n d"], Tensor], Float[Tensor, " b"]]


class _OfTokens(ABC):
    """What a token model made of another has from it, beside what any `DerivedModel` has."""

    model: TokenModel

    @property
    def vocabulary(self) -> Any:
        """The vocabulary of the model."""
        return self.model.vocabulary

    @property
    def parametrization(self) -> Any:
        """What the model predicts."""
        return self.model.parametrization

    def check_condition(self, condition: Any) -> None:
        """Reject a condition that the model was never trained on.

        Raises:
            ValueError: When the model says so.
        """
        self.model.check_condition(condition)


@dataclass(frozen=True)
class ClassifierFree(_OfTokens, DerivedModel, TokenModel):
    """A token model guided by itself without its condition.

    Attributes:
        model: The model; its `unconditional` returns what stands for no condition.
        scale: 0 is the unconditional model, 1 the conditional one, above 1 guided.
        hidden: Positions `(n,)` of a prompt that the unconditional model sees masked, for a model
            whose condition is its prompt.
    """

    model: TokenModel
    scale: float = 2.0
    hidden: Bool[Tensor, " n"] | None = None

    def __post_init__(self) -> None:
        """Refuse to hide a prompt where there is no mask."""
        if self.hidden is not None and self.model.vocabulary.mask is None:
            raise ValueError("hidden masks a prompt, but the vocabulary has no mask")

    def network_calls(self, t: Any, condition: Any = None) -> int:
        """Return the network calls of each answer."""
        each = self.model.network_calls(t, condition)
        unguided = condition is None and self.hidden is None
        return each if unguided or self.scale in (0, 1) else 2 * each

    def check_condition(self, condition: Any) -> None:
        """Reject a condition, or none, that the model was never trained on.

        Raises:
            ValueError: When the model says so.
        """
        if self.scale != 0:
            self.model.check_condition(condition)
        if self.scale != 1:
            self.model.check_condition(None)

    def logits(
        self, x: States, kappa: Tensor, condition: Any = None, *, where: Where = None
    ) -> Float[Tensor, "*elements v"]:
        """Return the guided log-probabilities; what the condition rules out stays ruled out."""
        if self.scale == 1 or (condition is None and self.hidden is None):
            return self.model.logits(x, kappa, condition, where=where)
        without = self._without(x, kappa, condition, where).log_softmax(-1)
        if self.scale == 0:
            return without
        with_ = self.model.logits(x, kappa, condition, where=where).log_softmax(-1)
        return extrapolate(without, with_, self.scale)

    def _without(self, x: Tensor, kappa: Tensor, condition: Any, where: Tensor | None) -> Tensor:
        """Return the unconditional logits; of a hidden prompt nothing has arrived."""
        if self.hidden is not None:
            x = x.masked_fill(self.hidden, self.vocabulary.mask)
            kappa = expand_time(kappa, x).expand(x.shape).masked_fill(self.hidden, 0.0)
        return self.model.logits(x, kappa, self.model.unconditional(condition), where=where)


@dataclass(frozen=True)
class PredictorGuided(_OfTokens, DerivedModel, TokenModel):
    """A token model guided by a predictor of the condition, to first order.

    Attributes:
        model: The model; the calls of the predictor are not counted.
        predictor: Returns log p(c | x_t) of each row from the embedded state and kappa;
            differentiable in the first.
        embedding: The embedding of every id.
        scale: Multiplies the gradient.
    """

    model: TokenModel
    predictor: Predictor
    embedding: Float[Tensor, "k d"]
    scale: float = 1.0

    def logits(
        self, x: States, kappa: Tensor, condition: Any = None, *, where: Where = None
    ) -> Float[Tensor, "*elements v"]:
        """Return the model's logits with the predictor's first-order change for each id."""
        # What was made in inference mode has no gradients; what is made here of it does.
        with torch.inference_mode(False), torch.enable_grad():
            embedded = self.embedding.detach()[x].requires_grad_()
            found = self.predictor(embedded, kappa.clone()).sum()
            (slope,) = torch.autograd.grad(found, embedded)
        slope = slope if where is None else slope[where]
        logits = self.model.logits(x, kappa, condition, where=where)
        ids = self.embedding[: logits.shape[-1]].detach()
        return torch.add(logits, (slope @ ids.T).to(logits), alpha=self.scale)
