"""Couplings: which source sample is joined to which data point in a batch.

A coupling permutes the source samples, so that data and their conditions stay where they are. Any
coupling whose two marginals are the source and the data gives a valid conditional path. Given a
condition, only the independent one keeps the source what it is: training with conditions takes no
other. Pairs are made within a micro-batch.

What a flow learns is right for every coupling: on the way from x_0 to z its velocity is a function
of (x_t, z). So is the jump of a mixture path, from x_0 to z at the hazard. Everything else about
p_t(x | z) holds for the independent coupling alone, where x_0 given z is still p_0: scores, noise
added to a flow, jumps of a Gaussian path, evidence bounds. A model therefore says which coupling it
was trained with, in `coupling`; one that says nothing is independent.

Source: Tong et al., arXiv 2302.00482, section 3; Albergo et al., arXiv 2310.03725.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from feller.core.config import tagged
from feller.core.generators import Flow, Jump
from feller.core.paths import ConditionalPath, GaussianPath, MixturePath

__all__ = [
    "Coupling",
    "IndependentCoupling",
    "MinibatchOT",
    "check_independent",
    "check_score",
    "coupling_of",
    "set_coupling",
]


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
        """Return `x_0` in the order that minimises the sum of |x_0 - x_1|^2.

        Raises:
            ValueError: When the batches have other shapes, or are not of finite numbers.
        """
        from scipy.optimize import linear_sum_assignment

        _check_batches(x_0, x_1)
        # The squared norms are the same for every permutation: only the inner products count.
        wide = torch.promote_types(x_0.dtype, torch.float32)  # ties are rounding in half of it
        score = (x_1.detach().flatten(1).to(wide) @ x_0.detach().flatten(1).to(wide).T).cpu()
        if not bool(score.isfinite().all()):
            raise ValueError("MinibatchOT pairs finite numbers; the batches hold others")
        _, order = linear_sum_assignment(score.numpy(), maximize=True)
        return x_0[torch.from_numpy(order).to(x_0.device)]


def _check_batches(x_0: Tensor, x_1: Tensor) -> None:
    if x_0.shape != x_1.shape:
        shapes = f"{tuple(x_0.shape)} and {tuple(x_1.shape)}"
        raise ValueError(f"MinibatchOT pairs two batches of one shape, not of {shapes}")
    for x in (x_0, x_1):
        if not x.is_floating_point():
            raise ValueError(f"MinibatchOT pairs numbers by their distance, not {x.dtype}")


def coupling_of(model: Any) -> Coupling:
    """Return the coupling that a model was trained with; independent if it does not say.

    Example:
        >>> coupling_of(nn.Identity())
        IndependentCoupling()
    """
    found = getattr(model, "coupling", None)
    return IndependentCoupling() if found is None else found


def set_coupling(model: nn.Module, coupling: Coupling) -> None:
    """Let a model, and the model within it, say which coupling it is trained with.

    Raises:
        ValueError: When what it learns is wrong for pairs that depend on each other.
    """
    if isinstance(coupling, IndependentCoupling):
        return
    name, path = type(coupling).__name__, getattr(model, "path", None)
    if isinstance(path, ConditionalPath):
        right = Jump if isinstance(path, MixturePath) else Flow
        wrong = [k.__name__ for k in getattr(model, "kinds", ()) if not issubclass(k, right)]
        if wrong:
            raise ValueError(
                f"{name} trains the {right.__name__} of a {type(path).__name__}; the model's "
                f"{', '.join(sorted(wrong))} is of independent pairs"
            )
    for module in model.modules():
        if module is model or hasattr(module, "path"):
            module.coupling = coupling  # pyright: ignore[reportArgumentType]


def check_independent(model: Any, what: str) -> None:
    """Refuse a model whose law of x_t given z is not that of its path.

    Args:
        model: A model.
        what: What asks for it, such as `evidence_bound`.

    Raises:
        ValueError: When its pairs depend on each other.
    """
    coupling = coupling_of(model)
    if not isinstance(coupling, IndependentCoupling):
        raise ValueError(
            f"{what} holds for independent pairs of source and data; this model was trained with "
            f"{type(coupling).__name__}"
        )


def check_score(model: Any, what: str) -> None:
    """Refuse a model whose velocity does not determine its score.

    It does where the source is Gaussian and independent of the data.

    Args:
        model: A model on a Gaussian path.
        what: What asks for the score, such as `Noised`.

    Raises:
        ValueError: When the source is another, or its pairs depend on each other.
    """
    path = getattr(model, "path", None)
    if isinstance(path, GaussianPath):
        path.check_source(what)
    check_independent(model, what)
