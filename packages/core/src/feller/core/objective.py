"""The objective: E D(L_t^z, L_t^theta), the one loss that trains every generator.

The conditional loss has the gradient of the marginal one when D is a Bregman divergence (Generator
Matching, arXiv 2410.20587, proposition 2). Weights may depend on t and x_t, never on z (arXiv
2511.16599): time laws and loss spaces are such weights.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor

from feller.core.config import tagged
from feller.core.divergences import BregmanDivergence, SquaredNorm
from feller.core.generators import Flow, Generator
from feller.core.models import Model
from feller.core.parametrizations import Parametrization, convert
from feller.core.paths import ConditionalPath
from feller.core.solutions import solution
from feller.core.typing import Time

__all__ = ["Objective", "coordinates"]


@tagged("objective")
@dataclass(frozen=True)
class Objective:
    """A divergence between the conditional and the predicted generator.

    Attributes:
        divergence: The Bregman divergence.
        loss_space: For flows, the parametrization in which they are compared, whatever the network
            predicts.

    Example:
        >>> import torch
        >>> from feller.core.posteriors import FiniteData
        >>> from feller.core.paths import GaussianPath
        >>> path, z = GaussianPath(), torch.ones(4, 2)
        >>> model = FiniteData(path, Flow, torch.ones(1, 2))  # knows the data
        >>> Objective()(model, path, z, 0.5, torch.zeros(4, 2))
        tensor([0., 0., 0., 0.])
    """

    divergence: BregmanDivergence = field(default_factory=SquaredNorm)
    loss_space: Parametrization = "velocity"

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
        """Return the loss of each sample: the mean of the divergence over its coordinates."""
        predicted = model(x_t, t, condition)
        target = solution(path, type(predicted))(path, x_t, t, z)
        read = coordinates(type(predicted))
        ours, theirs = (read(g, self.loss_space, path, x_t, t) for g in (predicted, target))
        if ours.shape != theirs.shape:
            raise ValueError(
                f"the model returns {tuple(ours.shape)}, the target is {tuple(theirs.shape)}"
            )
        return self.divergence(theirs, ours).flatten(1).mean(1)


Coordinates = Callable[[Any, Parametrization, ConditionalPath, Tensor, Time], Tensor]


def coordinates(kind: type[Generator]) -> Coordinates:
    """Look up the linear parametrization in which generators of a kind are compared.

    Raises:
        LookupError: When the kind has none.
    """
    for base in kind.__mro__:
        if base in _COORDINATES:
            return _COORDINATES[base]
    raise LookupError(f"no coordinates for {kind.__name__}; there are {[*_COORDINATES]}")


def _flow(flow: Flow, space: Parametrization, path: ConditionalPath, x: Tensor, t: Time) -> Tensor:
    return convert(flow.velocity, ("velocity", space), path.schedule, x, t)


_COORDINATES: dict[type, Coordinates] = {Flow: _flow}
