"""The objective: E D(L_t^z, L_t^theta), the one loss that trains every generator.

The conditional loss has the gradient of the marginal one when D is a Bregman divergence (Generator
Matching, arXiv 2410.20587, proposition 2). Weights may depend on t and x_t, never on z (arXiv
2511.16599): distributions of times and loss spaces are such weights.

Known elements have no loss: those at t = 1 by their own clock, and, if a posterior is learned and
the source is the mask, all tokens but the mask.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.checks import check_times
from feller.core.config import tagged
from feller.core.divergences import BregmanDivergence, GeneralizedKL, SquaredNorm
from feller.core.generators import Diffusion, Flow, FromPosterior, Generator, Jump
from feller.core.generators.parts import by_name
from feller.core.generators.shapes import check_shapes
from feller.core.losses.base import Loss, check_path
from feller.core.losses.comparison import Comparison, Measures
from feller.core.models import Model
from feller.core.parametrizations import Parametrization

__all__ = ["DIVERGENCES", "Objective"]

DIVERGENCES: Mapping[type[Generator], BregmanDivergence] = MappingProxyType(
    {
        Flow: SquaredNorm(),
        Diffusion: SquaredNorm(),
        Jump: GeneralizedKL(),
        FromPosterior: GeneralizedKL(),
    }
)
"""The divergence of each kind of generator, where none is chosen."""


@tagged("objective")
@dataclass(frozen=True)
class Objective(Loss):
    """A divergence between the conditional and the predicted generator.

    The loss of a sample is the mean over its elements. The parts of a superposition are trained
    separately and their losses added: its own weights matter only in simulation, those of the
    objective only in training. The losses of the factors of a product also add. The log names each.

    The loss of jumps and posteriors leaves out the path's rate of events. Multiplied by that rate
    and the number of elements, the loss of a jump integrates over time to the relative entropy of
    the path measures, a bound on that of the data.

    Attributes:
        divergence: The Bregman divergence of flows and diffusions.
        loss_space: For flows, the parametrization in which they are compared, whatever the network
            predicts.
        jump_divergence: The Bregman divergence of jumps and posteriors.
        weights: The weight of the loss of each part of a superposition, or factor of a product; all
            1 if empty.

    Raises:
        ValueError: When a divergence does not accept the range of its inputs.

    Example:
        >>> import torch
        >>> from feller.core.posteriors import FiniteData
        >>> from feller.core.paths import GaussianPath
        >>> path, z = GaussianPath(), torch.ones(4, 2)
        >>> model = FiniteData(path, Flow, torch.ones(1, 2))  # knows the data
        >>> Objective()(model, path, z, 0.5, torch.zeros(4, 2))
        tensor([0., 0., 0., 0.])
    """

    divergence: BregmanDivergence = field(default_factory=lambda: DIVERGENCES[Flow])
    loss_space: Parametrization = "velocity"
    jump_divergence: BregmanDivergence = field(default_factory=lambda: DIVERGENCES[Jump])
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Reject divergences of other numbers: no loss is to be infinite after hours."""
        for name, value, what in (
            ("divergence", -1.0, "velocities are any numbers"),
            ("jump_divergence", 0.0, "most rates and probabilities of one data point are 0"),
        ):
            domain = getattr(self, name).domain
            if value not in domain:
                kind = type(getattr(self, name)).__name__
                raise ValueError(f"{name} is {kind}, of numbers in {domain}, but {what}")

    def __call__(
        self, model: Model, path: Any, z: Any, t: Any, x_t: Any, *, condition: Any = None
    ) -> Float[Tensor, " b"]:
        """Return the loss of each sample: the mean of the divergence over its elements.

        Raises:
            LookupError: When the path has no solution of the model's kind.
            ValueError: When the shapes do not match, `z` is not among the model's values, the path
                is not the model's, or there is not a weight for each part.
        """
        parts = self.by_part(model, path, z, t, x_t, condition=condition)
        return torch.stack([*parts.values()]).sum(0)

    def by_part(self, *sample: Any, condition: Any = None) -> dict[str, Float[Tensor, " b"]]:
        """Return the loss of each part of a superposition or factor of a product, by its name."""
        model, path, z, t, x_t = sample
        check_times(t)
        check_path(model, path)
        predicted = model(x_t, t, condition)
        check_shapes(predicted, path.space, x_t)
        measures = Measures(self.divergence, self.jump_divergence, self.loss_space)
        parts = by_name(predicted.compare(Comparison(measures, path, z, t, x_t)))
        if not self.weights:
            return parts
        if len(self.weights) != len(parts):
            raise ValueError(
                f"weights has {len(self.weights)}, the model's parts are {', '.join(parts)}"
            )
        return {name: w * parts[name] for name, w in zip(parts, self.weights, strict=True)}
